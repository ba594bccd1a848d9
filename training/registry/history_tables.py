"""The tables of `commentwise history`, which fit 80 columns."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from commentwise.models.prediction_log import Served
from commentwise.training.project import HELD_OUT
from commentwise.training.registry.aliases import Change, Span
from commentwise.training.registry.card import SCORES
from commentwise.training.registry.dates import shown
from commentwise.training.registry.records import Data, Experiment, VersionRecord
from commentwise.training.registry.versions import CHALLENGER, CHAMPION

UNKNOWN = "not recorded"
DIGITS = 8
"""Of a hash; --json has all."""


def version_table(records: Sequence[VersionRecord], spans: Sequence[Span], changes: Sequence[Change]) -> Table:
    """The versions, the latest first, each with a line per fact."""
    table = Table(box=box.HORIZONTALS, show_lines=True, show_header=False)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for record in reversed(records):
        facts = Table.grid(padding=(0, 1))
        facts.add_column(no_wrap=True, style="dim")
        facts.add_column(overflow="fold")
        for name, value in version_facts(record, spans, changes):
            facts.add_row(name, Text(value))
        table.add_row(str(record.version), facts)
    return table


def version_facts(record: VersionRecord, spans: Sequence[Span], changes: Sequence[Change]) -> list[tuple[str, str]]:
    """The facts about a version, as a title and a line each."""
    aliases = [*champion_periods(record.version, spans), *challenger_periods(record.version, changes)]
    facts = [
        ("published", f"{shown(record.published)} by {person(record.author)}"),
        ("data", data_line(record.data)),
        ("choice", choice_line(record)),
        ("test", scores_line(record.test)),
        ("decision", record.decision or UNKNOWN),
        *(("alias", alias) for alias in aliases),
    ]
    return [*facts, ("served", served_line(record.served))] if record.served else facts


def champion_periods(version: int, spans: Sequence[Span]) -> list[str]:
    """The periods in which a version was champion, and those in which it may have been."""
    periods = []
    for span in spans:
        since, until = (shown(each) if each else None for each in (span.since, span.until))
        if span.versions == (version,):
            begin = f"from {since}" if since else "from the beginning"
            periods.append(f"{CHAMPION} {begin} {f'to {until}' if until else 'until now'}")
        elif version in span.versions:
            # The first and the last of them are known, except for the time between.
            if since and version == span.versions[0]:
                periods.append(f"{CHAMPION} from {since}; until when is {UNKNOWN}")
            elif version == span.versions[-1]:
                periods.append(f"{CHAMPION} {f'until {until}' if until else 'now'}; since when is {UNKNOWN}")
            else:
                periods.append(f"perhaps {CHAMPION} before {until or 'now'}: {UNKNOWN}")
    return periods


def challenger_periods(version: int, changes: Sequence[Change]) -> list[str]:
    """The recorded periods in which a version was challenger."""
    periods, since = [], None
    for change in changes:
        if since and (change.version == version) == (change.alias == CHAMPION):  # replaced, or promoted
            periods.append(f"{CHALLENGER} from {shown(since)} to {shown(change.time)}")
            since = None
        if change.alias == CHALLENGER and change.version == version:
            since = since or change.time
    return [*periods, f"{CHALLENGER} from {shown(since)}"] if since else periods


def experiment_table(experiments: Sequence[Experiment]) -> Table:
    """The experiments, the latest first."""
    title = "Experiments: macro-F1 with 95% intervals"
    table = Table(box=box.HORIZONTALS, title=title, title_justify="left", padding=(0, 1, 0, 0), pad_edge=False)
    for title in ("started", "by", "name", "data"):
        table.add_column(title, overflow="fold")
    for part in HELD_OUT:
        table.add_column(part, no_wrap=True)
    for each in reversed(experiments):
        data = f"{Path(each.data.source or '').name}\nsplit {short(each.data.prepared_md5)}" if each.data else ""
        scores = [interval(each.scores[part]["macro_f1"]) if part in each.scores else "" for part in HELD_OUT]
        table.add_row(*map(Text, (shown(each.started), person(each.author), each.name, data, *scores)))
    return table


def data_line(data: Data | None) -> str:
    """The data of a version: the source, the comments that were read from it, and the split made of these."""
    if data is None:
        return f"{UNKNOWN} (the bundle's artifacts are missing)"
    parts = ", ".join(f"{part} {rows:,}" for part, rows in data.rows.items())
    md5 = f" (md5 {short(data.source_md5)})" if data.source_md5 else ""
    made_from = ", ".join(f"{name} {rows:,}" for name, rows in data.made_from.items())
    source = f"{data.source}{md5}{f' (made from {made_from})' if made_from else ''}"
    return f"{source} -> raw comments {short(data.raw_md5)} -> split {short(data.prepared_md5)} ({parts})"


def choice_line(record: VersionRecord) -> str:
    """The family of a version and why selection chose it."""
    family, reason = record.family or UNKNOWN, record.choice or f"reason {UNKNOWN}"
    return reason if reason.startswith(f"{family} ") else f"{family}: {reason}"


def scores_line(test: dict[str, Any] | None) -> str:
    """The scores on the test part with their intervals."""
    if test is None:
        return UNKNOWN
    return (
        f"{', '.join(f'{title} {score(test[name])}' for name, title in SCORES.items())}; {test['comments']:,} comments"
    )


def served_line(served: Served) -> str:
    """The answers of a version in the prediction log."""
    first, last = (shown(datetime.fromtimestamp(seconds, UTC)) for seconds in (served.first, served.last))
    return f"{served.answers:,} answers, {first} to {last}"


def score(facts: dict[str, float]) -> str:
    """A score with its interval."""
    return f"{facts['value']:.3f} ({facts['low']:.3f} to {facts['high']:.3f})"


def interval(facts: dict[str, float]) -> str:
    """A score with its interval below it."""
    return f"{facts['value']:.3f}\n{facts['low']:.3f} to {facts['high']:.3f}"


def person(author: str | None) -> str:
    """An author's name without the address."""
    return (author or UNKNOWN).partition(" <")[0]


def short(digest: str | None) -> str:
    """The first digits of a hash."""
    return (digest or "")[:DIGITS]

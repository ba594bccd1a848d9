"""Show every version and experiment, or which version was champion at some time.

commentwise history
commentwise history --at 2026-11-24            # at the end of that day
commentwise history --at "last tuesday 15:00"
commentwise history --log sqlite:///predictions.db  # where each version was served, too

Times are local. Changes of the alias champion are recorded since this command exists; those before are shown as unknown.
"""

import argparse
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mlflow.exceptions import MlflowException
from rich.console import Console

from commentwise.errors import CommentwiseError, run_command
from commentwise.models.prediction_log import opened, served
from commentwise.training.project import Project
from commentwise.training.registry.aliases import Change, Span, champion_spans, champions_at, changes, span_at
from commentwise.training.registry.dates import point_in_time, shown, zone
from commentwise.training.registry.history_tables import experiment_table, person, version_table
from commentwise.training.registry.records import Experiment, VersionRecord, experiments, version_records
from commentwise.training.registry.tracking import connect
from commentwise.training.registry.versions import champion
from commentwise.training.settings import load_settings

MINUTE = timedelta(minutes=1)
LOG = "COMMENTWISE_PREDICTION_LOG"


@dataclass(frozen=True)
class History:
    """The registry and its past. Lists have the oldest first."""

    model: str
    champion: int | None
    versions: list[VersionRecord]
    experiments: list[Experiment]
    changes: list[Change]
    """Recorded changes of the aliases."""

    @property
    def published(self) -> dict[int, datetime]:
        """The time of each version."""
        return {record.version: record.published for record in self.versions}

    @property
    def spans(self) -> list[Span]:
        """The champion over time."""
        return champion_spans(self.changes, self.published, self.champion)


def main() -> None:
    """Print the history, or the champion at the time given."""
    parser = argparse.ArgumentParser(
        prog="commentwise history", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--at", metavar="TIME", help="print the champion at this time: an ISO date, or words")
    parser.add_argument("--log", metavar="URL", default=os.environ.get(LOG), help=f"prediction log (default: ${LOG})")
    parser.add_argument("--json", action="store_true", help="print JSON, with times in UTC")
    arguments = parser.parse_args()
    moment = None if arguments.at is None else point_in_time(arguments.at, datetime.now(UTC))
    history = read_history(Project(), arguments.log)
    if moment:
        span = champion_at(history, moment)
        facts = {"at": moment, "champions": champions_at(span, history.published, moment), "span": asdict(span)}
        if arguments.json:
            print(_json(facts))
        else:
            Console(highlight=False).print(answer(history, span, moment), markup=False)
    elif arguments.json:
        print(_json(asdict(history) | {"champions": [asdict(span) for span in history.spans]}))
    else:
        _print(history)


def read_history(project: Project, log: str | None) -> History:
    """Read the registry, MLflow's runs and, if `log` is the address of one, a prediction log.

    Raises CommentwiseError if nothing was ever published or trained, or the log cannot be read.
    """
    answers = {}
    if log:
        with opened(log) as connection:
            answers = served(connection)
    client, model = connect(project), load_settings(project.params).publish.model
    current, recorded = champion(client, model), []
    with suppress(MlflowException):  # nothing was published under this name
        recorded = changes(client, model)
    history = History(
        model=model,
        champion=int(current.version) if current else None,
        versions=version_records(client, model, answers),
        experiments=experiments(client),
        changes=recorded,
    )
    if not history.versions and not history.experiments:
        raise CommentwiseError(
            f"MLflow has neither a version of {model!r} nor an experiment: run `commentwise run` and `commentwise publish`"
        )
    return history


def champion_at(history: History, moment: datetime) -> Span:
    """The champion at this time. Raises CommentwiseError if no version existed yet."""
    if not history.versions:
        raise CommentwiseError(
            f"the registry has no version of {history.model!r}: publish one with `commentwise publish`"
        )
    first = history.versions[0]
    if moment < first.published:
        raise CommentwiseError(
            f"--at {shown(moment)} {zone(moment)} is before version {first.version}, the first of {history.model!r}: "
            f"name a time from {shown(first.published + MINUTE)}"
        )
    return span_at(history.spans, moment)


def answer(history: History, span: Span, moment: datetime) -> str:
    """The answer to --at: the champion, since and until when, who made it champion, and why."""
    when = f"at {shown(moment)} {zone(moment)} the champion of {history.model!r} was"
    names = [_name(version) for version in champions_at(span, history.published, moment)]
    since, until = (shown(each) if each else None for each in (span.since, span.until))
    if len(names) > 1:
        begin = f"{names[0]} had the alias from {since}" if since else "changes were not recorded yet"
        end = f"{_name(span.versions[-1])} {f'had it at {until}' if until else 'has it now'}"
        return f"{when} {' or '.join(names)}, the change is not recorded: {begin}, {end}"
    begin = f"from {since}" if since else "since when is not recorded"
    end = "until when is not recorded" if len(span.versions) > 1 else f"to {until}" if until else "until now"
    lines = [f"{when} {names[0]}", f"{begin} {end}"]
    if span.change:
        lines.append(f"set by {person(span.change.author)}: {span.change.reason}")
    return "\n".join(lines)


def _name(version: int | None) -> str:
    return f"version {version}" if version else "none"


def _print(history: History) -> None:
    console, now = Console(highlight=False), datetime.now(UTC)
    current = f"champion: version {history.champion}" if history.champion else "no champion"
    count = f"{len(history.versions)} version{'' if len(history.versions) == 1 else 's'}"
    console.print(f"{history.model}: {count}, {current}. Times: {zone(now)}.", markup=False)
    if history.versions:
        console.print(version_table(history.versions, history.spans, history.changes))
    console.print(experiment_table(history.experiments))


def _json(content: dict[str, Any]) -> str:
    def value(thing: object) -> str:
        assert isinstance(thing, datetime)
        return thing.astimezone(UTC).isoformat(timespec="seconds")

    return json.dumps(content, indent=2, ensure_ascii=False, default=value)


if __name__ == "__main__":
    run_command(main)

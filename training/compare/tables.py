"""The comparison on the terminal, in 80 columns."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from commentwise.training.compare.difference import NAMES, Comparison, sentences
from commentwise.training.compare.facts import Change, shown
from commentwise.training.compare.judged import Judged, Score

FLIPS = {"lost": "right before, wrong now", "won": "wrong before, right now", "other": "wrong before and now"}
MAX_EXAMPLES = 5
MAX_ROWS = 15
MAX_TEXT = 160
"""Characters of a comment."""


def show(console: Console, comparison: Comparison) -> None:
    """Print the comparison."""
    console.print(f"{comparison.before.title} -> {comparison.after.title}", style="bold", markup=False)
    for sentence in sentences(comparison):
        console.print(sentence, markup=False)
    if not comparison.same_bundle:
        _parts(console, comparison)
        _changes(console, "Parameters", comparison.params)
        _changes(console, "Model", comparison.model)
        if comparison.judged:
            _scores(console, comparison.judged)
            _flips(console, comparison.judged)
    for note in comparison.notes:
        console.print(f"note: {note}", markup=False)


def _plain_table(title: str) -> Table:
    return Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )


def _table(title: str, heads: Sequence[str]) -> Table:
    table = _plain_table(title)
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left", no_wrap=bool(number), overflow="fold")
    return table


def _parts(console: Console, comparison: Comparison) -> None:
    if not comparison.source or not comparison.parts:
        return
    table = _table("Comments by part", ("", *next(iter(comparison.parts.values()))))
    for part, counts in comparison.parts.items():
        table.add_row(part, *(f"{count:,}" for count in counts.values()))
    console.print(table)


def _changes(console: Console, title: str, changes: list[Change]) -> None:
    if not changes:
        return
    table = _plain_table(title)
    for head in ("name", "before", "after"):
        table.add_column(head, overflow="fold")
    for change in changes[:MAX_ROWS]:
        table.add_row(*map(Text, (change.name, shown(change.before), shown(change.after))))
    console.print(table)
    if len(changes) > MAX_ROWS:
        console.print(f"… and {len(changes) - MAX_ROWS} more: see the page", markup=False)


def _scores(console: Console, judged: Judged) -> None:
    table = _table("Scores on the same unseen comments", ("", "before", "after", "points", "95% interval", "comments"))
    rows = [(NAMES[name], score) for name, score in judged.scores.items()]
    rows += [(f"F1 of {label}", score) for label, score in judged.labels.items()]
    rows += [(f"{kind}: {name}", score) for kind, found in judged.slices.items() for name, score in found.items()]
    for name, score in rows:
        table.add_row(Text(name), *score_cells(score))
    console.print(table)


def score_cells(score: Score) -> tuple[str, ...]:
    """Before, after, difference in points, its interval and the number of comments."""
    return (
        f"{score.before:.3f}",
        f"{score.after:.3f}",
        f"{100 * score.difference:+.1f}",
        f"{100 * score.low:+.1f} to {100 * score.high:+.1f}",
        f"{score.comments:,}",
    )


def _flips(console: Console, judged: Judged) -> None:
    for kind, title in FLIPS.items():
        rows = judged.flips(kind)
        console.print(Text(f"{title}: {len(rows):,} of {len(judged.rows):,} comments", style="bold"))
        for row in rows.head(MAX_EXAMPLES).itertuples():
            line = f"  {row.before} -> {row.after}, labelled {row.label}: {cut(str(row.text))}"
            console.print(Text(line))


def cut(text: str) -> str:
    """A comment in one line, cut to `MAX_TEXT` characters."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_TEXT else f"{line[: MAX_TEXT - 1]}…"

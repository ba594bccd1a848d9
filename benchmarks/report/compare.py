"""Compare two runs of the benchmarks and show the changes beyond noise.

  python -m benchmarks.report.compare                  # the results in git with those in the working folder
  python -m benchmarks.report.compare BEFORE AFTER     # two folders of results

Exits with 1 if a figure is worse beyond noise, so that a build can stop. Figures that depend on the load of the machine
are listed and not judged; speeds are judged as ratios within their own run. A result is judged only against one of the
same command on the same kind of machine.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from benchmarks.report.figures import Figure, figures
from benchmarks.report.notation import number
from benchmarks.report.result_files import COMMANDS, RESULTS, Results, heads, parse_results, read_results
from benchmarks.result import Head, current_command
from commentwise.errors import CommentwiseError, run_command

Verdict = Literal["worse", "better", "gone", "new", "within noise", "not judged"]
SHOWN: tuple[Verdict, ...] = ("worse", "better", "gone", "new")
"""The verdicts that are listed, worst first."""


@dataclass(frozen=True)
class Change:
    """A figure before and after; one of the two may be absent."""

    name: str
    before: Figure | None
    after: Figure | None
    verdict: Verdict


def main() -> None:
    """Compare two runs; exit with 1 if a figure is worse."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("before", nargs="?", type=Path, help="folder of results (default: those in git)")
    parser.add_argument("after", nargs="?", type=Path, default=RESULTS, help="folder of results (default: %(default)s)")
    options = parser.parse_args()
    for folder in (options.before, options.after):
        if folder is not None and not folder.is_dir():
            raise CommentwiseError(f"{folder} is not a folder: name one with result files, such as {RESULTS}")
    before = read_results(options.before) if options.before else committed(options.after, "HEAD")
    after = read_results(options.after)
    if not before or not after:
        raise CommentwiseError(f"no results {'after' if before else 'before'}: run `make bench` to write them")
    compared = changes(before, after)
    show(compared, incomparable(before, after), Console())
    sys.exit(any(change.verdict == "worse" for change in compared))


def changes(before: Results, after: Results) -> list[Change]:
    """Every figure of two runs with its verdict, the worst first."""
    old, new = figures(before), figures(after)
    excluded = incomparable(before, after)
    compared = []
    for name in dict.fromkeys([*old, *new]):
        first, second = old.get(name), new.get(name)
        judged = name.partition("/")[0] not in excluded
        compared.append(Change(name, first, second, _verdict(first, second) if judged else "not judged"))
    order = [*SHOWN, "within noise", "not judged"]
    return sorted(compared, key=lambda change: order.index(change.verdict))


def incomparable(before: Results, after: Results) -> dict[str, str]:
    """The results that cannot be compared, by name, with the reason."""
    old_heads, new_heads = heads(before), heads(after)
    reasons = {}
    for name in sorted(old_heads.keys() & new_heads.keys()):
        for what, fact in (("machine", _machine), ("command", _command)):
            old, new = fact(old_heads[name]), fact(new_heads[name])
            if old != new:
                reasons[name] = f"the {what} differs: {old} before, {new} after"
    return reasons


def baseline(folder: Path) -> tuple[str, Results]:
    """The last committed results that differ from these, and their name; no results if git has none that can be read."""
    now = read_results(folder)
    try:
        latest = committed(folder, "HEAD")
        if latest != now:
            return "the last commit", latest
        revision = f"{_git('log', '-1', '--format=%h', '--', *_paths(folder)).strip()}~1"
        return f"the results before commit {revision[:-2]}", committed(folder, revision)
    except CommentwiseError:  # no repository, no history, or results of an older form
        return "earlier results", {}


def committed(folder: Path, revision: str) -> Results:
    """The result files that git has in `folder` at a revision.

    Raises CommentwiseError if git fails, or a file is not of its type.
    """
    listed = _git("ls-tree", "--name-only", revision, "--", *_paths(folder)).split()
    stems = {name: str(folder / f"{name}.json") for name in COMMANDS}
    present = {name: path for name, path in stems.items() if path in listed}
    texts = {name: _git("show", f"{revision}:./{path}") for name, path in present.items()}
    return parse_results(texts, {name: f"{path} in {revision}" for name, path in present.items()})


def show(compared: Sequence[Change], excluded: dict[str, str], console: Console) -> None:
    """Print the changes, and the number of figures by verdict."""
    shown = [change for change in compared if change.verdict in SHOWN]
    if shown:
        table = Table("", "figure", "before", "after", box=None, padding=(0, 2, 0, 0))
        for change in shown:
            table.add_row(change.verdict, change.name, *(written(figure) for figure in (change.before, change.after)))
        console.print(table, markup=False)
    for name, reason in excluded.items():
        console.print(f"{name} is not judged: {reason}", markup=False, highlight=False, soft_wrap=True)
    console.print(summary(compared), highlight=False)


def summary(compared: Sequence[Change]) -> str:
    """One line with the number of figures by verdict."""
    counts = {
        verdict: sum(change.verdict == verdict for change in compared)
        for verdict in (*SHOWN, "within noise", "not judged")
    }
    return (
        ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) + f", of {len(compared)} figures"
    )


def written(figure: Figure | None) -> str:
    """A figure with its unit and noise."""
    return f"{number(figure.value)} {figure.unit} (± {number(figure.noise)})" if figure else ""


def _verdict(before: Figure | None, after: Figure | None) -> Verdict:
    if before is None or after is None:
        return "new" if before is None else "gone"
    if after.better is None:
        return "not judged"
    gain = (after.value - before.value) * (1 if after.better == "higher" else -1)
    if abs(gain) <= before.noise + after.noise:
        return "within noise"
    return "better" if gain > 0 else "worse"


def _machine(head: Head) -> str:
    return f"{head['machine']['processor']}, {head['machine']['cores']} cores"


def _command(head: Head) -> str:
    """The command without its --out."""
    return re.sub(r" --out \S+", "", current_command(head["command"]))


def _paths(folder: Path) -> list[str]:
    return [str(folder / f"{name}.json") for name in COMMANDS]


def _git(*arguments: str) -> str:
    finished = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if finished.returncode:
        raise CommentwiseError(
            f"`git {' '.join(arguments[:2])}` failed ({finished.stderr.strip()}): name two folders of results instead"
        )
    return finished.stdout


if __name__ == "__main__":
    run_command(main)

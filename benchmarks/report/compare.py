"""What changed between two runs of the benchmarks, beyond noise.

  python -m benchmarks.report.compare                  # the results in git against those in the working folder
  python -m benchmarks.report.compare BEFORE AFTER     # two folders of results

Exits with 1 when a figure is worse beyond noise, so that a build can stop there. What depends on the machine's hour is
listed and not judged; speeds are judged as ratios within their own run. A result is judged only against one of the same
command on the same kind of machine.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from benchmarks.report.figures import COMMANDS, RESULTS, Figure, figures, read_results
from benchmarks.report.notation import number
from commentwise.errors import CommentwiseError, run_command

Verdict = Literal["worse", "better", "gone", "new", "within noise", "not judged"]
TOLD: tuple[Verdict, ...] = ("worse", "better", "gone", "new")
"""The verdicts that a reader wants to see, worst first."""


@dataclass(frozen=True)
class Change:
    """A figure before and after; one of them may not be there."""

    name: str
    before: Figure | None
    after: Figure | None
    verdict: Verdict


def main() -> None:
    """Compare the two runs that the command line names, and say by the exit code whether anything is worse."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("before", nargs="?", type=Path, help="folder of results (default: what git has)")
    parser.add_argument("after", nargs="?", type=Path, default=RESULTS, help="folder of results (default: %(default)s)")
    options = parser.parse_args()
    for folder in (options.before, options.after):
        if folder is not None and not folder.is_dir():
            raise CommentwiseError(f"{folder} is no folder: name one with result files, such as {RESULTS}")
    before = read_results(options.before) if options.before else committed(options.after, "HEAD")
    after = read_results(options.after)
    if not before or not after:
        raise CommentwiseError(f"there are no results {'after' if before else 'before'}: `make bench` writes them")
    found = changes(before, after)
    show(found, unlike(before, after), Console())
    sys.exit(any(change.verdict == "worse" for change in found))


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """Every figure of two runs with its verdict, the worst first."""
    old, new = figures(before), figures(after)
    other = unlike(before, after)
    found = []
    for name in dict.fromkeys([*old, *new]):
        first, second = old.get(name), new.get(name)
        judged = name.partition("/")[0] not in other
        found.append(Change(name, first, second, _verdict(first, second) if judged else "not judged"))
    order = [*TOLD, "within noise", "not judged"]
    return sorted(found, key=lambda change: order.index(change.verdict))


def unlike(before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    """The results that cannot be held against each other, by name, with the reason."""
    found = {}
    for name in before.keys() & after.keys():
        for what, setting in (("machine", _machine), ("command", _command)):
            old, new = setting(before[name]), setting(after[name])
            if old != new:
                found[name] = f"another {what}: {old} before, {new} after"
    return dict(sorted(found.items()))


def baseline(folder: Path) -> tuple[str, dict[str, Any]]:
    """What these results replace: the last committed ones that differ. Empty where git knows none."""
    now = read_results(folder)
    try:
        latest = committed(folder, "HEAD")
        if latest != now:
            return "the last commit", latest
        revision = f"{_git('log', '-1', '--format=%h', '--', *_paths(folder)).strip()}~1"
        return f"the results before commit {revision[:-2]}", committed(folder, revision)
    except CommentwiseError:  # no repository, or one without its history
        return "earlier results", {}


def committed(folder: Path, revision: str) -> dict[str, Any]:
    """The result files that git has in `folder` at a revision, by stem."""
    listed = _git("ls-tree", "--name-only", revision, "--", *_paths(folder)).split()
    return {Path(path).stem: json.loads(_git("show", f"{revision}:./{path}")) for path in listed}


def show(found: Sequence[Change], other: dict[str, str], console: Console) -> None:
    """Print what changed, and count what did not."""
    told = [change for change in found if change.verdict in TOLD]
    if told:
        table = Table("", "figure", "before", "after", box=None, padding=(0, 2, 0, 0))
        for change in told:
            table.add_row(change.verdict, change.name, *(written(figure) for figure in (change.before, change.after)))
        console.print(table, markup=False)
    for name, reason in other.items():
        console.print(f"{name} is not judged: {reason}", markup=False, highlight=False, soft_wrap=True)
    console.print(summary(found), highlight=False)


def summary(found: Sequence[Change]) -> str:
    """One line: how many figures got which verdict."""
    counts = {
        verdict: sum(change.verdict == verdict for change in found) for verdict in (*TOLD, "within noise", "not judged")
    }
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) + f", of {len(found)} figures"


def written(figure: Figure | None) -> str:
    """A figure with its unit and the noise around it."""
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


def _machine(result: dict[str, Any]) -> str:
    machine = result["machine"]
    return f"{machine.get('processor') or machine.get('device')}, {machine['cores']} cores"


def _command(result: dict[str, Any]) -> str:
    return re.sub(r" --out \S+", "", str(result.get("command")))


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

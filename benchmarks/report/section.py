"""What the report is made of: questions and their answers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure

from benchmarks.report.drawing import Palette

DIGITS = 12
"""Of a commit's name."""


@dataclass(frozen=True)
class Chart:
    """A picture, drawn anew for every palette, and the same in words."""

    name: str
    """Of its files, and of its parts in the page."""
    alt: str
    draw: Callable[[Palette], Figure]


@dataclass(frozen=True)
class Table:
    """Rows of text under a heading; what is read as a number stands right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    open: bool = False
    """Whether it is the answer, and not what stands behind it."""


@dataclass(frozen=True)
class Answer:
    """A sentence or two, the charts that show it, and the tables behind."""

    text: str
    charts: list[Chart] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """How to read it."""
    measured: list[list[tuple[str, str]]] = field(default_factory=list)
    """How each of the results behind it was measured."""
    missing: list[str] = field(default_factory=list)
    """What would belong here and was not measured, and why."""


@dataclass(frozen=True)
class Section:
    """A question and its answer."""

    name: str
    question: str
    answer: Answer


def spoken(values: Iterable[tuple[str, str]]) -> str:
    """Names with their values, for those who do not see the chart."""
    return ", ".join(f"{name} {value}" for name, value in values)


def absent(rows: dict[str, Any]) -> list[str]:
    """The rows without figures, with their reason."""
    return [
        f"{name}: {state}, {row[state].splitlines()[0]}"
        for name, row in rows.items()
        for state in ("missing", "failed")
        if state in row
    ]


def provenance(name: str, result: dict[str, Any]) -> list[tuple[str, str]]:
    """Command, machine, versions, commit, seed and repeats of a result file, as far as it has them."""
    machine, environment = result["machine"], result.get("environment", {})
    versions = result.get("versions") or environment.get("packages", {})
    python = environment.get("python") or machine.get("python")
    comments = result.get("comments", {})
    facts = {
        "file": f"benchmarks/results/{name}.json",
        "command": result.get("command"),
        "machine": f"{machine.get('processor') or machine['device']}, {machine['cores']} cores",
        "versions": ", ".join([f"Python {python}", *(f"{package} {found}" for package, found in versions.items())]),
        "commit": _commit(result.get("git", {})),
        "comments": ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in comments.items() if key != "seed"),
        "seed": result.get("seed", comments.get("seed")),
        "rounds": result.get("rounds"),
        "repeats": result.get("repeats"),
        "seconds of one measurement": result.get("seconds"),
    }
    return [(label, str(value)) for label, value in facts.items() if value not in (None, "")]


def _commit(git: dict[str, Any]) -> str:
    if not git.get("commit"):
        return "not recorded"
    changed = f", with later versions of {', '.join(git['dirty'])}" if git.get("dirty") else ""
    return f"{git['commit'][:DIGITS]}{changed}"

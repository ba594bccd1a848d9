"""The building blocks of the report: questions and their answers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from benchmarks.report.drawing import Palette
from benchmarks.result import Git, Head, current_command

COMMIT_DIGITS = 12


@dataclass(frozen=True)
class Chart:
    """A picture with its alternative text."""

    name: str
    """Stem of its files, and prefix of its ids in the page."""
    alt: str
    draw: Callable[[Palette], Figure]
    """Draws it in the colours of a palette."""


@dataclass(frozen=True)
class Table:
    """Rows of text under a title."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    open: bool = False
    """Shown open: the table is the answer itself, not its details."""


@dataclass(frozen=True)
class Answer:
    """A sentence or two, with charts and tables."""

    text: str
    charts: list[Chart] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Remarks on how to read it."""
    measured: list[list[tuple[str, str]]] = field(default_factory=list)
    """Facts about the measurement, as terms and values, for each result used."""
    missing: list[str] = field(default_factory=list)
    """Figures that were not measured, with the reasons."""


@dataclass(frozen=True)
class Section:
    """A question and its answer."""

    name: str
    question: str
    answer: Answer


def spoken(values: Iterable[tuple[str, str]]) -> str:
    """Names with their values, for a chart's alternative text."""
    return ", ".join(f"{name} {value}" for name, value in values)


def absent(rows: Mapping[str, Mapping[str, object]]) -> list[str]:
    """The rows that are missing or failed, with their reasons."""
    return [
        f"{name}: {state}, {str(row[state]).splitlines()[0]}"
        for name, row in rows.items()
        for state in ("missing", "failed")
        if state in row
    ]


def provenance(
    name: str,
    head: Head,
    comments: Mapping[str, object] | None = None,
    seed: int | None = None,
    rounds: int | None = None,
    repeats: int | None = None,
    seconds: float | None = None,
) -> list[tuple[str, str]]:
    """The facts about the measurement of a result file, as far as it has them."""
    machine, environment = head["machine"], head["environment"]
    versions = [f"{package} {version}" for package, version in environment["packages"].items()]
    facts: dict[str, object] = {
        "file": f"benchmarks/results/{name}.json",
        "command": current_command(head["command"]),
        "machine": f"{machine['processor']}, {machine['cores']} cores",
        "versions": ", ".join([f"Python {environment['python']}", *versions]),
        "commit": _commit(head["git"]),
        "comments": ", ".join(
            f"{key.replace('_', ' ')} {value}" for key, value in (comments or {}).items() if key != "seed"
        ),
        "seed": seed,
        "rounds": rounds,
        "repeats": repeats,
        "seconds of one measurement": seconds,
    }
    return [(label, str(value)) for label, value in facts.items() if value not in (None, "")]


def _commit(git: Git) -> str:
    if not git["commit"]:
        return "not recorded"
    changed = f", with later versions of {', '.join(git['dirty'])}" if git["dirty"] else ""
    return f"{git['commit'][:COMMIT_DIGITS]}{changed}"

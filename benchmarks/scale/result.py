"""Types of scale.json and footprint.json, written by benchmarks.scale and benchmarks.scale.footprint and read by the report."""

from collections.abc import Mapping
from typing import final

from typing_extensions import TypedDict

from benchmarks.result import Failed, Head, Missing, Rounds


@final
class Scored(TypedDict):
    """Scoring a file with the whole command."""

    model: str
    comments: int
    seconds: float
    peak_memory_mb: int
    comments_per_second: float


@final
class ScoringLeftOut(TypedDict):
    """A file size that was left out, with the reason."""

    model: str
    comments: int
    left_out: str


@final
class Trained(TypedDict):
    """Training, without the loading of libraries."""

    family: str
    comments: int
    seconds: float


@final
class TrainingLeftOut(TypedDict):
    """A number of examples that was left out, with the reason."""

    family: str
    comments: int
    left_out: str


class Workers(TypedDict):
    """The server with a number of inference processes."""

    workers: int
    threads: int
    """Per process."""
    requests_per_second: float
    rounds: list[float]
    memory_mb: float


class ScaleResult(Head):
    """scale.json."""

    seed: int
    rounds: int
    seconds: float
    budget_seconds: float
    scoring: list[Scored | ScoringLeftOut]
    training: list[Trained | TrainingLeftOut]
    workers: list[Workers]


@final
class Footprint(TypedDict):
    """Start-up and size of a server."""

    import_seconds: Rounds
    ready_seconds: Rounds
    memory_mb: float
    """At rest."""
    install_mb: float
    packages: int


class FootprintResult(Head):
    """footprint.json."""

    rounds: int
    servers: dict[str, Footprint | Missing | Failed]
    extras: dict[str, float | Missing]
    """Installed size in MB of each extra."""


def scored(result: ScaleResult) -> dict[str, list[Scored]]:
    """The files that were scored, by model and growing."""
    done = sorted((row for row in result["scoring"] if "seconds" in row), key=lambda row: row["comments"])
    return {model: [row for row in done if row["model"] == model] for model in dict.fromkeys(row["model"] for row in done)}  # fmt: skip


def trained(result: ScaleResult) -> dict[str, list[Trained]]:
    """The trainings that ran, by family and growing."""
    done = sorted((row for row in result["training"] if "seconds" in row), key=lambda row: row["comments"])
    return {family: [row for row in done if row["family"] == family] for family in dict.fromkeys(row["family"] for row in done)}  # fmt: skip


def by_workers(result: ScaleResult) -> list[Workers]:
    """The server by a growing number of workers."""
    return sorted(result["workers"], key=lambda row: row["workers"])


def measured_footprints(servers: Mapping[str, Footprint | Missing | Failed]) -> dict[str, Footprint]:
    """The servers that were measured."""
    return {name: row for name, row in servers.items() if "ready_seconds" in row}

"""What is measured of one server that runs: labels, closed loops, and an open loop at rising rates."""

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.servers.load import Plan, generate
from benchmarks.servers.process import Running, Server
from commentwise.errors import CommentwiseError
from commentwise.models.bundle import Classifier

FALLEN = 0.8
"""Of the best goodput: with less, a server is past what it can take, and higher rates tell nothing new."""
OPEN_CONNECTIONS = 900
"""Fits the 1,024 files that a process may usually have open, on both sides."""


@dataclass(frozen=True)
class Scope:
    """How much is measured."""

    seconds: float
    """Length of one measurement."""
    repeats: int
    """Rounds of each closed loop."""
    connections: tuple[int, ...]
    """Of the closed loops."""
    rates: tuple[float, ...]
    """Arrival rates of the open loop, rising, as shares of the closed loop's peak."""
    compared: int
    """Comments whose labels are compared with the engine's."""


FULL = Scope(3, 3, (1, 8, 32, 128), (0.5, 0.75, 0.9, 1, 1.25, 1.5, 2, 3), 200)
QUICK = Scope(0.7, 1, (1, 32), (0.75, 1.5), 32)


def measure(
    server: Server, started: Running, comments: Sequence[str], classifier: Classifier, scope: Scope
) -> dict[str, Any]:
    """Measure a server that has started. Raises CommentwiseError when it answers wrongly, or not at all under load."""
    asked = comments[: scope.compared]
    expected = [prediction.label for prediction in classifier.predict(asked)]
    alike = sum(found == label for found, label in zip(started.labels(asked), expected, strict=True))
    bodies = [server.body(comment) for comment in comments]
    closed = measure_closed(started, bodies, scope)
    peak = max(found["requests_per_second"] for found in closed.values())
    if not peak:
        raise CommentwiseError(f"it answered one comment at a time, and none under load: {closed}")
    return {
        "labels_alike": round(alike / len(asked), 4),
        "labels_compared": len(asked),
        "peak_per_second": peak,
        "closed": closed,
        "open": list(_open_rounds(started, bodies, peak, scope)),
    }


def measure_closed(started: Running, bodies: list[str], scope: Scope) -> dict[str, dict[str, Any]]:
    """Closed loops by connections: medians over the rounds, in which all numbers of connections take turns."""
    generate(Plan(started.url, bodies, scope.seconds, max(scope.connections)))  # warm-up
    rounds = [
        {count: _round(started, Plan(started.url, bodies, scope.seconds, count)) for count in scope.connections}
        for _ in range(scope.repeats)
    ]
    return {str(count): _closed_summary([found[count] for found in rounds]) for count in scope.connections}


def _round(started: Running, plan: Plan) -> dict[str, Any]:
    """The load generator's report, and what the server used."""
    cpu = started.cpu_seconds()
    report = generate(plan)
    answers = max(1, sum(report["statuses"].values()))
    return report | {
        "server_cpu_ms_per_request": round(1000 * (started.cpu_seconds() - cpu) / answers, 3),
        "server_memory_mb": round(started.memory_mb(), 1),
    }


def _closed_summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds, and sums of what went wrong."""
    statuses = sum((Counter(found["statuses"]) for found in rounds), Counter[str]())
    return {
        "requests_per_second": statistics.median(found["accepted_per_second"] for found in rounds),
        "rounds": [found["accepted_per_second"] for found in rounds],
        "latency_ms": median_latency(rounds),
        "statuses": dict(statuses),
        **{name: sum(found[name] for found in rounds) for name in ("lost", "refused", "unanswered")},
        **{
            name: statistics.median(found[name] for found in rounds)
            for name in ("server_cpu_ms_per_request", "server_memory_mb", "generator_cpu_us_per_request")
        },
    }


def _open_rounds(started: Running, bodies: list[str], peak: float, scope: Scope) -> Iterator[dict[str, Any]]:
    """One rate after the other, until the goodput has clearly fallen or the rates are through."""
    best = 0.0
    for share in scope.rates:
        found = _open_round(started, bodies, share, peak, scope.seconds)
        yield found
        if found["good_per_second"] < FALLEN * best:
            return
        best = max(best, found["good_per_second"])


def _open_round(started: Running, bodies: list[str], share: float, peak: float, seconds: float) -> dict[str, Any]:
    found = _round(started, Plan(started.url, bodies, seconds, OPEN_CONNECTIONS, share * peak))
    return {
        "rate_over_peak": share,
        "rate": round(share * peak, 1),
        "goodput_over_peak": round(found["good_per_second"] / peak, 3),
        "status_shares": {code: round(count / found["due"], 4) for code, count in found["statuses"].items()},
        **found,
    }


def median_latency(rounds: Sequence[dict[str, Any]]) -> dict[str, float] | None:
    """The median of each percentile over rounds, or nothing where none was measured."""
    found = [facts["latency_ms"] for facts in rounds if facts["latency_ms"]]
    return {name: statistics.median(latency[name] for latency in found) for name in found[0]} if found else None

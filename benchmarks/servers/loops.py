"""Measurements of one running server: labels, closed loops, and an open loop at rising rates."""

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.latency import median_latency
from benchmarks.servers.load import Plan, generate
from benchmarks.servers.result import ClosedLoop, Loops, OpenLoop, Round
from benchmarks.servers.running import Running, Server
from commentwise.errors import CommentwiseError
from commentwise.models.bundle import Classifier

MIN_GOODPUT = 0.8
"""Share of the best goodput below which a server is overloaded, so that higher rates tell nothing new."""
OPEN_CONNECTIONS = 900
"""Fits into the usual limit of 1,024 open files per process, on both sides."""


@dataclass(frozen=True)
class Scope:
    """The extent of the measurements."""

    seconds: float
    """Length of one measurement."""
    repeats: int
    """Rounds of each closed loop."""
    connections: tuple[int, ...]
    """Numbers of connections of the closed loops."""
    rates: tuple[float, ...]
    """Rising arrival rates of the open loop, as shares of the peak of the closed loops."""
    compared: int
    """Comments whose labels are compared with the engine's."""


FULL = Scope(3, 3, (1, 8, 32, 128), (0.5, 0.75, 0.9, 1, 1.25, 1.5, 2, 3), 200)
QUICK = Scope(0.7, 1, (1, 32), (0.75, 1.5), 32)


def measure(server: Server, started: Running, comments: Sequence[str], classifier: Classifier, scope: Scope) -> Loops:
    """Measure a server that has started.

    Raises CommentwiseError if an answer is malformed, or if there are no answers under load.
    """
    compared = comments[: scope.compared]
    expected = [prediction.label for prediction in classifier.predict(compared)]
    alike = sum(label == other for label, other in zip(started.labels(compared), expected, strict=True))
    bodies = [server.body(comment) for comment in comments]
    closed = measure_closed(started, bodies, scope)
    peak = max(loop["requests_per_second"] for loop in closed.values())
    if not peak:
        raise CommentwiseError(f"it answered single comments, but none under load: {closed}")
    return {
        "labels_alike": round(alike / len(compared), 4),
        "labels_compared": len(compared),
        "peak_per_second": peak,
        "closed": closed,
        "open": list(_open_rounds(started, bodies, peak, scope)),
    }


def measure_closed(started: Running, bodies: list[str], scope: Scope) -> dict[str, ClosedLoop]:
    """Closed loops by number of connections: medians over rounds, each of which runs every number once."""
    generate(Plan(started.url, bodies, scope.seconds, max(scope.connections)))  # warm-up
    rounds = [
        {count: _round(started, Plan(started.url, bodies, scope.seconds, count)) for count in scope.connections}
        for _ in range(scope.repeats)
    ]
    return {str(count): _closed_summary([round_[count] for round_ in rounds]) for count in scope.connections}


def _round(started: Running, plan: Plan) -> Round:
    """The load generator's report with the server's CPU time and memory."""
    cpu = started.cpu_seconds()
    report = generate(plan)
    answers = max(1, sum(report["statuses"].values()))
    return {
        **report,
        "server_cpu_ms_per_request": round(1000 * (started.cpu_seconds() - cpu) / answers, 3),
        "server_memory_mb": round(started.memory_mb(), 1),
    }


def _closed_summary(rounds: list[Round]) -> ClosedLoop:
    """Medians over rounds, and sums of failures."""
    statuses = sum((Counter(found["statuses"]) for found in rounds), Counter[str]())
    return {
        "requests_per_second": statistics.median(found["accepted_per_second"] for found in rounds),
        "rounds": [found["accepted_per_second"] for found in rounds],
        "latency_ms": median_latency([found["latency_ms"] for found in rounds]),
        "statuses": dict(statuses),
        "lost": sum(found["lost"] for found in rounds),
        "refused": sum(found["refused"] for found in rounds),
        "unanswered": sum(found["unanswered"] for found in rounds),
        "server_cpu_ms_per_request": statistics.median(found["server_cpu_ms_per_request"] for found in rounds),
        "server_memory_mb": statistics.median(found["server_memory_mb"] for found in rounds),
        "generator_cpu_us_per_request": statistics.median(found["generator_cpu_us_per_request"] for found in rounds),
    }


def _open_rounds(started: Running, bodies: list[str], peak: float, scope: Scope) -> Iterator[OpenLoop]:
    """One rate after the other, until the goodput has clearly fallen or all rates are done."""
    best = 0.0
    for share in scope.rates:
        found = _open_round(started, bodies, share, peak, scope.seconds)
        yield found
        if found["good_per_second"] < MIN_GOODPUT * best:
            return
        best = max(best, found["good_per_second"])


def _open_round(started: Running, bodies: list[str], share: float, peak: float, seconds: float) -> OpenLoop:
    found = _round(started, Plan(started.url, bodies, seconds, OPEN_CONNECTIONS, share * peak))
    return {
        "rate_over_peak": share,
        "rate": round(share * peak, 1),
        "goodput_over_peak": round(found["good_per_second"] / peak, 3),
        "status_shares": {code: round(count / found["due"], 4) for code, count in found["statuses"].items()},
        **found,
    }

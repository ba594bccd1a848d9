"""Percentiles of latencies."""

import statistics
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

Rank = Literal["p50", "p95", "p99", "p99.9"]
RANKS: tuple[Rank, ...] = ("p50", "p95", "p99", "p99.9")

Latency = TypedDict("Latency", {"p50": float, "p95": float, "p99": float, "p99.9": float})
"""Percentiles in milliseconds."""


def percentiles_ms(milliseconds: Sequence[float] | NDArray[np.float64]) -> Latency | None:
    """The percentiles of latencies in milliseconds; None if there are no latencies."""
    if not len(milliseconds):
        return None
    p50, p95, p99, p999 = (round(float(value), 3) for value in np.percentile(milliseconds, (50, 95, 99, 99.9)))
    return {"p50": p50, "p95": p95, "p99": p99, "p99.9": p999}


def median_latency(rounds: Sequence[Latency | None]) -> Latency | None:
    """The median of each percentile over those rounds that have latencies; None if no round has."""
    found = [latency for latency in rounds if latency]
    if not found:
        return None
    p50, p95, p99, p999 = (statistics.median(latency[rank] for latency in found) for rank in RANKS)
    return {"p50": p50, "p95": p95, "p99": p99, "p99.9": p999}

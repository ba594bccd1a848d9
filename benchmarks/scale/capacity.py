"""How many servers a load takes: a queue with the measured service times, next to what the server itself did.

  python -m benchmarks.scale.capacity [--results FILE] [--per-second N ...] [--price DOLLARS] [--write]

A comment comes, waits for one of the server's cores and takes it for as long as one comment took at the engine. That is
scaled so that all cores together reach the speed that the server reached, since HTTP takes its share of them. Nothing
else is fitted: what the open loop measured beyond is predicted.
"""

import argparse
import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.report.document import replace_section
from benchmarks.servers.load import Plan
from commentwise.errors import run_command
from commentwise.fileio import read_json

RESULTS = Path("benchmarks/results/serving.json")
DOCUMENT = Path("docs/scale.md")
START = "<!-- capacity: written by `python -m benchmarks.scale.capacity --write` -->"
END = "<!-- /capacity -->"
LOADS = (100, 1_000, 1e6 / 60)
"""Comments per second: the last are a million per minute."""
PRICE = 0.04
"""Dollars for a core and an hour: an assumption."""
MAX_QUEUE = 512
"""What the server lets wait."""
TIMEOUT = 10.0
"""Seconds that a request may take. What would wait for half of it is refused."""
PLANNED = 0.7
"""Share of its speed that a pod is to be used by: what the autoscaler aims at."""
WANTED_P99 = 0.25
"""Seconds that 99 of 100 comments may take."""
QUANTILES = (0.0, 0.5, 0.95, 0.99, 0.999)


@dataclass(frozen=True)
class Pod:
    """One server: what it computes with, and how long comments take there."""

    cores: int
    services: NDArray[np.float64]
    """Seconds of one core per comment: a sample."""

    @property
    def per_second(self) -> float:
        """Comments that it can answer."""
        return float(self.cores / self.services.mean())


@dataclass(frozen=True)
class Outcome:
    """What became of a load."""

    answered_per_second: float
    refused_share: float
    p50: float
    p99: float


def measured_pod(results: dict[str, Any], seed: int = 0, size: int = 20_000) -> Pod:
    """The server of a measurement."""
    latency, peak = results["engine"]["latency_ms"], results["servers"]["commentwise"]["peak_per_second"]
    cores = results["machine"]["cores"]
    known = [latency["p50"] / 4, latency["p50"], latency["p95"], latency["p99"], latency["p99.9"]]
    services = np.interp(np.random.default_rng(seed).uniform(0, 0.999, size), QUANTILES, known)
    return Pod(cores, services * (cores / peak) / services.mean())


def simulate(
    pod: Pod, per_second: float, seconds: float, evenly: bool = False, timeout: float = TIMEOUT, seed: int = 0
) -> Outcome:
    """Send comments for so long, at random times or `evenly`, and let the pod answer all that it takes."""
    generator = np.random.default_rng(seed)
    count = round(per_second * seconds)
    gaps = np.full(count, 1 / per_second) if evenly else generator.exponential(1 / per_second, count)
    free = [0.0] * pod.cores
    waiting: list[float] = []
    latencies = []
    last = 0.0
    for arrival, service in zip(np.cumsum(gaps), generator.choice(pod.services, count), strict=True):
        while waiting and waiting[0] <= arrival:
            heapq.heappop(waiting)
        start = max(arrival, free[0])
        if len(waiting) >= MAX_QUEUE or start - arrival > timeout / 2:
            continue
        heapq.heapreplace(free, start + service)
        if start > arrival:
            heapq.heappush(waiting, start)
        latencies.append(start + service - arrival)
        last = max(last, start + service)
    p50, p99 = np.quantile(latencies, (0.5, 0.99))
    return Outcome(len(latencies) / max(last, seconds), 1 - len(latencies) / count, float(p50), float(p99))


def usable_share(pod: Pod, wanted_p99: float = WANTED_P99) -> float:
    """The largest share of its speed, in steps of 1%, at which the pod answers in time, comments coming at random."""
    low, high = 0, 100
    while low < high:
        middle = (low + high + 1) // 2
        if simulate(pod, pod.per_second * middle / 100, 300).p99 <= wanted_p99:
            low = middle
        else:
            high = middle - 1
    return low / 100


def pods_for(pod: Pod, per_second: float) -> int:
    """Pods that answer so many comments with none used beyond what is planned, and one more that may be lost."""
    return math.ceil(per_second / (pod.per_second * PLANNED)) + 1


def comparison(results: dict[str, Any]) -> list[tuple[dict[str, Any], Outcome]]:
    """Each rate of the open loop, with what the model says of it."""
    pod = measured_pod(results)
    return [
        (found, simulate(pod, found["rate"], results["seconds"], evenly=True, timeout=Plan.good_within))
        for found in results["servers"]["commentwise"]["open"]
    ]


def section(results: dict[str, Any], loads: Sequence[float] = LOADS, price: float = PRICE) -> list[str]:
    """What stands in the document: the model next to the measurement, and what the loads take."""
    pod, compared = measured_pod(results), comparison(results)
    lines = [
        "| comments/s sent | refused, measured | model | p50 ms, measured | model | p99 ms, measured | model |",
        "|---|---|---|---|---|---|---|",
    ]
    for found, outcome in compared:
        latency = found["latency_ms"]
        lines.append(
            f"| {found['rate']:.0f} | {refused_share(found):.0%} | {outcome.refused_share:.0%} "
            f"| {latency['p50']:.0f} | {1000 * outcome.p50:.0f} | {latency['p99']:.0f} | {1000 * outcome.p99:.0f} |"
        )
    off = max(abs(refused_share(found) - outcome.refused_share) for found, outcome in compared)
    quiet = [
        found["latency_ms"]["p99"] / 1000 / outcome.p99 for found, outcome in compared if found["rate_over_peak"] < 1
    ]
    lines += [
        "",
        f"The shares that are refused differ by at most {100 * off:.0f} points. Below the peak of {pod.per_second:.0f}/s the measured p99 is "
        f"{min(quiet):.1f} to {max(quiet):.1f} times the model's, which holds {1000 * WANTED_P99:.0f} ms up to {usable_share(pod):.0%} of the peak.",
        "",
        f"| comments/s | pods of {pod.cores} cores at {PLANNED:.0%} of {pod.per_second:.0f}/s, one spare | cores |",
        "|---|---|---|",
    ]
    for load in loads:
        pods = pods_for(pod, load)
        lines.append(f"| {load:,.0f} | {pods:,} | {pods * pod.cores:,} |")
    per_dollar = pod.per_second * PLANNED * 3600 / (pod.cores * price)
    return [
        *lines,
        "",
        f"At ${price:g} for a core and an hour, that is {per_dollar / 1e6:.1f} million comments per dollar.",
    ]


def refused_share(found: dict[str, Any]) -> float:
    """Of the requests of a measured rate."""
    return float(found["status_shares"].get("429", 0))


def main() -> None:
    """Print the model next to the measurement, and what a load takes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale.capacity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help="default: %(default)s")
    parser.add_argument("--per-second", type=float, nargs="+", default=LOADS, metavar="N", help="comments that come")
    parser.add_argument(
        "--price", type=float, default=PRICE, help="dollars for a core and an hour (default: %(default)s)"
    )
    parser.add_argument("--write", action="store_true", help=f"put it into {DOCUMENT} too")
    arguments = parser.parse_args()
    lines = section(read_json(arguments.results), arguments.per_second, arguments.price)
    print("\n".join(lines))
    if arguments.write:
        replace_section(DOCUMENT, START, END, lines)


if __name__ == "__main__":
    run_command(main)

"""Model how many servers a load needs: a queue with measured service times, compared with the measured server.

  python -m benchmarks.scale.capacity [--results FILE] [--per-second N ...] [--price DOLLARS] [--write]

A comment arrives, waits for one of the server's cores and occupies it for the time that one comment takes in the engine.
These times are scaled so that all cores together reach the measured peak of the server, since HTTP takes its share of
them. Nothing else is fitted: the figures of the open loop are predictions.
"""

import argparse
import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.document import replace_section
from benchmarks.result import OURS, read_result
from benchmarks.servers.load import Plan
from benchmarks.servers.result import OpenLoop, ServingResult, measured_servers
from commentwise.errors import CommentwiseError, run_command

RESULTS = Path("benchmarks/results/serving.json")
DOCUMENT = Path("docs/scale.md")
START = "<!-- capacity: written by `python -m benchmarks.scale.capacity --write` -->"
END = "<!-- /capacity -->"
LOADS = (100, 1_000, 1e6 / 60)
"""Comments per second; the last is a million per minute."""
PRICE = 0.04
"""Assumed dollars per core and hour."""
MAX_QUEUE = 512
"""Requests that the server lets wait."""
TIMEOUT = 10.0
"""Seconds that a request may take. Requests that would wait for more than half of them are refused."""
PLANNED = 0.7
"""Planned load of a pod as a share of its peak: the target of the autoscaler."""
MAX_P99 = 0.25
"""Seconds within which 99% of the comments must be answered."""
QUANTILES = (0.0, 0.5, 0.95, 0.99, 0.999)


@dataclass(frozen=True)
class Pod:
    """One server."""

    cores: int
    services: NDArray[np.float64]
    """A sample of the seconds of one core that a comment takes, shape (sample,)."""

    @property
    def per_second(self) -> float:
        """Its peak in comments per second."""
        return float(self.cores / self.services.mean())


@dataclass(frozen=True)
class Outcome:
    """The answers to a load; latencies in seconds."""

    answered_per_second: float
    refused_share: float
    p50: float
    p99: float


def measured_pod(result: ServingResult, seed: int = 0, size: int = 20_000) -> Pod:
    """The measured server. Raises CommentwiseError if the result has no latencies of the engine, or not our server."""
    latency, server = result["engine"]["latency_ms"], measured_servers(result["servers"]).get(OURS)
    if latency is None or server is None:
        raise CommentwiseError(
            f"serving.json has no figures of the engine and {OURS}: run `python -m benchmarks.servers`"
        )
    peak, cores = server["peak_per_second"], result["machine"]["cores"]
    known = [latency["p50"] / 4, latency["p50"], latency["p95"], latency["p99"], latency["p99.9"]]
    services = np.interp(np.random.default_rng(seed).uniform(0, 0.999, size), QUANTILES, known)
    return Pod(cores, services * (cores / peak) / services.mean())


def simulate(
    pod: Pod, per_second: float, seconds: float, evenly: bool = False, timeout: float = TIMEOUT, seed: int = 0
) -> Outcome:
    """Simulate a pod under comments that arrive for `seconds`, at random times or evenly spaced."""
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


def usable_share(pod: Pod, max_p99: float = MAX_P99) -> float:
    """The largest share of its peak, in steps of 1%, at which the pod answers randomly arriving comments in time."""
    low, high = 0, 100
    while low < high:
        middle = (low + high + 1) // 2
        if simulate(pod, pod.per_second * middle / 100, 300).p99 <= max_p99:
            low = middle
        else:
            high = middle - 1
    return low / 100


def pods_for(pod: Pod, per_second: float) -> int:
    """Pods that a load needs at the planned load of each, plus one spare."""
    return math.ceil(per_second / (pod.per_second * PLANNED)) + 1


def comparison(result: ServingResult) -> list[tuple[OpenLoop, Outcome]]:
    """Each rate of the open loop that has latencies, with the model's prediction."""
    pod = measured_pod(result)
    return [
        (loop, simulate(pod, loop["rate"], result["seconds"], evenly=True, timeout=Plan.good_within))
        for loop in measured_servers(result["servers"])[OURS]["open"]
        if loop["latency_ms"]
    ]


def section(result: ServingResult, loads: Sequence[float] = LOADS, price: float = PRICE) -> list[str]:
    """The section of the document: the model next to the measurement, and the pods that loads need."""
    pod, compared = measured_pod(result), comparison(result)
    lines = [
        "| comments/s sent | refused, measured | model | p50 ms, measured | model | p99 ms, measured | model |",
        "|---|---|---|---|---|---|---|",
    ]
    below_peak = []
    for loop, outcome in compared:
        latency = loop["latency_ms"]
        assert latency is not None  # comparison leaves rates without latencies out
        if loop["rate_over_peak"] < 1:
            below_peak.append(latency["p99"] / 1000 / outcome.p99)
        lines.append(
            f"| {loop['rate']:.0f} | {refused_share(loop):.0%} | {outcome.refused_share:.0%} "
            f"| {latency['p50']:.0f} | {1000 * outcome.p50:.0f} | {latency['p99']:.0f} | {1000 * outcome.p99:.0f} |"
        )
    error = max(abs(refused_share(loop) - outcome.refused_share) for loop, outcome in compared)
    lines += [
        "",
        f"The refused shares differ by at most {100 * error:.0f} points. Below the peak of {pod.per_second:.0f}/s the measured p99 is "
        f"{min(below_peak):.1f} to {max(below_peak):.1f} times the model's, which stays below {1000 * MAX_P99:.0f} ms up to {usable_share(pod):.0%} of the peak.",
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
        f"At ${price:g} per core and hour, that is {per_dollar / 1e6:.1f} million comments per dollar.",
    ]


def refused_share(loop: OpenLoop) -> float:
    """Share of the requests that were refused with 429."""
    return loop["status_shares"].get("429", 0.0)


def main() -> None:
    """Print the model next to the measurement, and the pods that loads need."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale.capacity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=RESULTS,
        metavar="FILE",
        help="result of benchmarks.servers (default: %(default)s)",
    )
    parser.add_argument(
        "--per-second", type=float, nargs="+", default=LOADS, metavar="N", help="loads in comments per second"
    )
    parser.add_argument("--price", type=float, default=PRICE, help="dollars per core and hour (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help=f"write the section of {DOCUMENT} too")
    arguments = parser.parse_args()
    lines = section(read_result(ServingResult, arguments.results), arguments.per_second, arguments.price)
    print("\n".join(lines))
    if arguments.write:
        replace_section(DOCUMENT, START, END, lines)


if __name__ == "__main__":
    run_command(main)

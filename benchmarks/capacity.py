"""How many servers a load takes: a queue with the measured service times, next to what the server itself did.

    python -m benchmarks.capacity                      # the model against benchmarks/results/serving.json
    python -m benchmarks.capacity --per-second 16667   # servers for a million comments a minute

A comment comes, waits for one of the server's cores and takes it for as long as one comment took at the engine. That is
scaled so that all cores together reach the speed that the server reached, since HTTP takes its share of them. Nothing
else is fitted: what the open loop measured beyond is predicted.
"""

import argparse
import heapq
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESULTS = Path("benchmarks/results/serving.json")
MAX_QUEUE = 512
"""What the server lets wait."""
LONGEST_WAIT = 5.0
"""Seconds: half of the server's timeout, beyond which it refuses."""
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


def simulate(pod: Pod, per_second: float, seconds: float, evenly: bool = False, seed: int = 0) -> Outcome:
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
        if len(waiting) >= MAX_QUEUE or start - arrival > LONGEST_WAIT:
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
        (found, simulate(pod, found["rate"], results["seconds"], evenly=True))
        for found in results["servers"]["commentwise"]["open"]
    ]


def main() -> None:
    """Print the model next to the measurement, and what a load takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument(
        "--per-second", type=float, default=1e6 / 60, help="comments that come (default: a million a minute)"
    )
    parser.add_argument(
        "--price", type=float, default=0.04, help="dollars for a core and an hour (default: %(default)s)"
    )
    arguments = parser.parse_args()
    results = json.loads(arguments.results.read_text(encoding="utf-8"))
    pod = measured_pod(results)
    print("| comments/s sent | refused, measured | model | p50 ms, measured | model | p99 ms, measured | model |")
    print("|---|---|---|---|---|---|---|")
    for found, outcome in comparison(results):
        latency, refused = found["latency_ms"], found["status_shares"].get("429", 0)
        print(
            f"| {found['rate']:.0f} | {refused:.0%} | {outcome.refused_share:.0%} | {latency['p50']:.0f} | {1000 * outcome.p50:.0f} "
            f"| {latency['p99']:.0f} | {1000 * outcome.p99:.0f} |"
        )
    share = usable_share(pod)
    pods = pods_for(pod, arguments.per_second)
    per_dollar = pod.per_second * PLANNED * 3600 / (pod.cores * arguments.price)
    print(
        f"\na pod of {pod.cores} cores: {pod.per_second:.0f} comments/s, by the model {share:.0%} of it with p99 within {1000 * WANTED_P99:.0f} ms"
    )
    print(
        f"{arguments.per_second:,.0f} comments/s, pods used at {PLANNED:.0%}: {pods} pods with a spare one, {pods * pod.cores} cores; {per_dollar:,.0f} comments per dollar"
    )


if __name__ == "__main__":
    main()

"""Speed of an engine, on comments of the same lengths for all engines."""

import itertools
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from benchmarks.engines.contenders import Answer, Contender
from benchmarks.engines.result import Speed
from benchmarks.latency import Latency, median_latency, percentiles_ms

SEED = 0
WINDOW = 128
"""Comments within which a contender may choose the order, and the largest batch."""


@dataclass(frozen=True)
class Timing:
    """One round of an engine at one batch size."""

    comments_per_second: float
    cpu_ms_per_comment: float
    latency_ms: Latency | None


def timed_windows(texts: Sequence[str]) -> list[list[str]]:
    """Split test comments into windows of 128 with the same mix of lengths.

    A slow contender, which gets through few windows, is thus timed on the same lengths as a fast one.
    """
    by_length = sorted(texts, key=len)
    count = len(by_length) // WINDOW
    rng = np.random.default_rng(SEED)
    strata = np.array_split(np.arange(count * WINDOW), WINDOW)
    shuffled = [rng.permutation(stratum) for stratum in strata]
    windows = [[by_length[stratum[number]] for stratum in shuffled] for number in range(count)]
    return [[window[number] for number in rng.permutation(WINDOW)] for window in windows]


def time_contender(contender: Contender, answer: Answer, windows: list[list[str]], size: int, seconds: float) -> Timing:
    """Comments per second with all cores busy, and the latency of single calls, in batches of `size`."""
    batches = [_batches(contender, window, size) for window in windows]
    answer(batches[0][-1])  # warm-up: allocates the memory of the largest batch
    endless = itertools.cycle(batches)
    done, cpu, start = 0, time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(contender.concurrent_calls) as pool:
        while (elapsed := time.perf_counter() - start) < seconds:
            work = [next(endless) for _ in range(contender.concurrent_calls)]
            done += sum(len(answers) for answers in pool.map(answer, itertools.chain.from_iterable(work)))
    cpu = time.process_time() - cpu
    every = [batch for window in batches for batch in window]
    return Timing(done / elapsed, 1000 * cpu / done, _latency(answer, every, seconds))


def _batches(contender: Contender, window: list[str], size: int) -> list[list[str]]:
    ordered = sorted(window, key=len) if contender.sorts_by_length else window
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def _latency(answer: Answer, batches: list[list[str]], seconds: float) -> Latency | None:
    rng = np.random.default_rng(SEED)
    latencies, end = [], time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        answer(batches[rng.integers(len(batches))])
        latencies.append(1000 * (time.perf_counter() - start))
    return percentiles_ms(latencies)


def median(rounds: Sequence[Timing]) -> Speed:
    """The medians over rounds, with the speed of each round."""
    speeds = [timing.comments_per_second for timing in rounds]
    return {
        "comments_per_second": round(statistics.median(speeds), 1),
        "rounds": [round(speed, 1) for speed in speeds],
        "latency_ms": median_latency([timing.latency_ms for timing in rounds]),
        "cpu_ms_per_comment": round(statistics.median(timing.cpu_ms_per_comment for timing in rounds), 3),
    }

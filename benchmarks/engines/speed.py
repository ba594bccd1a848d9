"""How fast a row is: the same comments for all, whatever it gets through."""

import itertools
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.engines.rows import Answer, Row
from benchmarks.servers.load import percentiles_ms

SEED = 0
WINDOW = 128
"""Comments whose order a row may choose, and the largest batch."""


def timed_windows(texts: Sequence[str]) -> list[list[str]]:
    """Windows of test comments of the same lengths: however few of them a slow row gets through, they are alike."""
    by_length = sorted(texts, key=len)
    count = len(by_length) // WINDOW
    chance = np.random.default_rng(SEED)
    strata = np.array_split(np.arange(count * WINDOW), WINDOW)
    shuffled = [chance.permutation(stratum) for stratum in strata]
    windows = [[by_length[stratum[number]] for stratum in shuffled] for number in range(count)]
    return [[window[number] for number in chance.permutation(WINDOW)] for window in windows]


def speed(row: Row, answer: Answer, windows: list[list[str]], size: int, seconds: float) -> dict[str, Any]:
    """Comments per second with all cores busy, and the latency of one call at a time, in batches of `size`."""
    batches = [_batches(row, window, size) for window in windows]
    answer(batches[0][-1])  # memory for the largest batch is there
    endless = itertools.cycle(batches)
    done, cpu, start = 0, time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(row.at_once) as pool:
        while (elapsed := time.perf_counter() - start) < seconds:
            work = [next(endless) for _ in range(row.at_once)]
            done += sum(len(found) for found in pool.map(answer, itertools.chain.from_iterable(work)))
    cpu = time.process_time() - cpu
    return {
        "comments_per_second": done / elapsed,
        "cpu_ms_per_comment": 1000 * cpu / done,
        "latency_ms": _latency(answer, [batch for window in batches for batch in window], seconds),
    }


def _batches(row: Row, window: list[str], size: int) -> list[list[str]]:
    ordered = sorted(window, key=len) if row.sorts else window
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def _latency(answer: Answer, batches: list[list[str]], seconds: float) -> dict[str, float] | None:
    chance = np.random.default_rng(SEED)
    latencies, end = [], time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        answer(batches[chance.integers(len(batches))])
        latencies.append(1000 * (time.perf_counter() - start))
    return percentiles_ms(latencies)


def median(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The rounds' medians, with the single speeds beside them."""
    speeds = [found["comments_per_second"] for found in rounds]
    return {
        "comments_per_second": round(statistics.median(speeds), 1),
        "rounds": [round(speed, 1) for speed in speeds],
        "latency_ms": {
            name: statistics.median(found["latency_ms"][name] for found in rounds) for name in rounds[0]["latency_ms"]
        },
        "cpu_ms_per_comment": round(statistics.median(found["cpu_ms_per_comment"] for found in rounds), 3),
    }

"""The peak of a processor: products of large matrices in the precisions in which encoders run."""

import time
from collections.abc import Callable

import torch

from benchmarks.engines.result import Peaks
from benchmarks.result import Rounds

SIZES = (512, 1024, 2048)
"""Rows and columns; which size is fastest depends on the caches."""
PRECISIONS = ("fp32", "bf16", "int8")


def measure_peak(rounds: int, seconds: float) -> Peaks:
    """Billions of operations per second by precision, a multiply-add counted as two, on all of torch's threads.

    Each round runs every size for `seconds` and keeps its fastest product. A peak is the best of the rounds, since
    other load on the machine can only slow a product down.
    """
    found: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for _ in range(rounds):
        for precision, best in found.items():
            best.append(round(max(_best(_product(precision, size), size, seconds) for size in SIZES), 1))
    fp32, bf16, int8 = (Rounds(value=max(best), rounds=best) for best in found.values())
    return {"fp32_gflops": fp32, "bf16_gflops": bf16, "int8_gops": int8}


def _product(precision: str, size: int) -> Callable[[], torch.Tensor]:
    if precision == "int8":
        left, right = (torch.randint(-127, 128, (size, size), dtype=torch.int8) for _ in range(2))
        return lambda: torch._int_mm(left, right)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    first, second = (torch.randn(size, size).to(dtype) for _ in range(2))
    return lambda: first @ second


def _best(product: Callable[[], torch.Tensor], size: int, seconds: float) -> float:
    """The fastest of the products that run within `seconds`, in billions of operations per second."""
    product()  # the first call lays the weights out
    shortest, end = float("inf"), time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        product()
        shortest = min(shortest, time.perf_counter() - start)
    return 2 * size**3 / shortest / 1e9

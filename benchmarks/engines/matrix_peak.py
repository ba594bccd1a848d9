"""The most that a processor does: products of large matrices, in the precisions in which encoders run."""

import time
from collections.abc import Callable
from typing import Any

import torch

SIZES = (512, 1024, 2048)
"""Which is fastest depends on the caches."""
UNITS = {"fp32": "fp32_gflops", "bf16": "bf16_gflops", "int8": "int8_gops"}


def measure_peak(rounds: int, seconds: float) -> dict[str, dict[str, Any]]:
    """Billions of operations per second by precision (a multiply-add is two), on all of torch's threads.

    Each round tries every size for `seconds`; its figure is the best product. A peak is the best of the rounds, since
    whatever else the machine does can only slow a product down.
    """
    found: dict[str, list[float]] = {precision: [] for precision in UNITS}
    for _ in range(rounds):
        for precision, best in found.items():
            best.append(round(max(_best(_product(precision, size), size, seconds) for size in SIZES), 1))
    return {UNITS[precision]: {"value": max(best), "rounds": best} for precision, best in found.items()}


def _product(precision: str, size: int) -> Callable[[], torch.Tensor]:
    if precision == "int8":
        left, right = (torch.randint(-127, 128, (size, size), dtype=torch.int8) for _ in range(2))
        return lambda: torch._int_mm(left, right)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    first, second = (torch.randn(size, size).to(dtype) for _ in range(2))
    return lambda: first @ second


def _best(product: Callable[[], torch.Tensor], size: int, seconds: float) -> float:
    product()  # weights are laid out the first time
    shortest, end = float("inf"), time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        product()
        shortest = min(shortest, time.perf_counter() - start)
    return 2 * size**3 / shortest / 1e9

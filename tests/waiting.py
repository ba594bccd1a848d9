"""Waiting for what happens in another process."""

import time
from collections.abc import Callable

PATIENCE = 60
PAUSE = 0.02
"""Between two looks: who waits must not take the processor from what is awaited."""


def until(condition: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Look until a condition holds, and fail when that takes too long."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(PAUSE)

"""Waiting for a condition."""

import time
from collections.abc import Callable

PATIENCE = 60
"""Seconds."""
PAUSE = 0.02
"""Seconds between two checks, so that waiting leaves the CPU to the awaited process."""


def until(condition: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait until `condition` is true; fail after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(PAUSE)

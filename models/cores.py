"""How much of the machine this process may use."""

import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where a container (cgroup v2) finds its share: microseconds of computing per period, or `max`."""


def available_cores() -> int:
    """Whole cores this process may use, which in a container are fewer than the machine has, and at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        share, period = QUOTA.read_text(encoding="ascii").split()
    except OSError:
        return cores
    return cores if share == "max" else max(1, min(cores, int(share) // int(period)))

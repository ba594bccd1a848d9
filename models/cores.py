"""How much of the machine this process may use."""

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
"""Where a container finds its share of the processors."""


def available_cores() -> int:
    """Whole cores this process may use, which in a container are fewer than the machine has, and at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share, period = _quota()
    return cores if share in ("max", "-1") else max(1, min(cores, int(share) // int(period)))


def _quota() -> tuple[str, str]:
    """Microseconds of computing per period: in one file of cgroup v2, or in two of v1. Without a limit, `max` or -1.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html and https://docs.kernel.org/scheduler/sched-bwc.html
    """
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            share, period = " ".join((CGROUPS / name).read_text(encoding="ascii") for name in files).split()
        except OSError:
            continue
        return share, period
    return "max", ""

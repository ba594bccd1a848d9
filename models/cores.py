"""Processor cores that this process may use."""

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
"""Where the kernel shows the limits of a container."""


def available_cores() -> int:
    """Whole cores that this process may use, at least one; in a container fewer than the machine has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share, period = _quota()
    return cores if share in ("max", "-1") else max(1, min(cores, int(share) // int(period)))


def _quota() -> tuple[str, str]:
    """CPU time per period, both in microseconds, from one file of cgroup v2 or two of v1; `max` or -1 if unlimited.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html and https://docs.kernel.org/scheduler/sched-bwc.html
    """
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            share, period = " ".join((CGROUPS / name).read_text(encoding="ascii") for name in files).split()
        except OSError:
            continue
        return share, period
    return "max", ""

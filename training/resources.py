"""Measuring resources: seconds, peak memory, device."""

import platform
import resource
import sys
import time
from pathlib import Path
from typing import Any


class Stopwatch:
    """Starts timing on construction."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since construction."""
        return time.perf_counter() - self._start

    def resources(self, device: str, peak_device_bytes: int | None = None) -> dict[str, Any]:
        """Seconds, peak resident memory of the process and, on a GPU, peak device memory. Memory is in MiB."""
        resources: dict[str, Any] = {
            "seconds": round(self.seconds, 2),
            "peak_memory_mb": round(peak_resident_bytes() / 1024**2),
            "device": device,
        }
        if peak_device_bytes is not None:
            resources["peak_device_memory_mb"] = round(peak_device_bytes / 1024**2)
        return resources


def peak_resident_bytes() -> int:
    """The peak resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes on macOS, kilobytes elsewhere


def processor_name() -> str:
    """The model name of the CPU, or its architecture if the name is unknown."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

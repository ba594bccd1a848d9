"""What a piece of work cost: seconds, peak memory, device."""

import platform
import resource
import sys
import time
from pathlib import Path
from typing import Any


class Stopwatch:
    """Measures from its making on."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since the stopwatch was made."""
        return time.perf_counter() - self._start

    def resources(self, device: str, peak_device_bytes: int | None = None) -> dict[str, Any]:
        """Seconds, the process's peak resident memory and, on a GPU, its peak device memory, both in MB."""
        used = {
            "seconds": round(self.seconds, 2),
            "peak_memory_mb": round(peak_resident_bytes() / 1024**2),
            "device": device,
        }
        return (
            used if peak_device_bytes is None else used | {"peak_device_memory_mb": round(peak_device_bytes / 1024**2)}
        )


def peak_resident_bytes() -> int:
    """The most memory this process had so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes on macOS, kilobytes elsewhere


def processor_name() -> str:
    """The processor's name as the machine gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

"""Processes that a benchmark starts: the resources that they and their children use, and their end."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from commentwise.errors import CommentwiseError

STOP_SECONDS = 20
LAST_LINES = 15
SAMPLE_SECONDS = 0.2
"""Interval of the samples of a command's memory; each costs a few milliseconds of CPU time."""


@contextmanager
def started(command: Sequence[str], output: Path, folder: Path = Path()) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command in `folder` with its output in the file `output`; end it and all its children afterwards."""
    with output.open("wb") as stream:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_variables(),
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone, and its children can be ended with it
        )
    try:
        yield process
    finally:
        _stop(process)


def run(command: Sequence[str], output: Path, folder: Path = Path()) -> float:
    """Run a command and return the peak resident memory of all its processes together in MB, as sampled.

    Shared pages count once per process: finding them would slow the command down.
    Raises CommentwiseError with the command's last output if it fails.
    """
    peak = 0.0
    with started(command, output, folder) as process:
        while True:
            with suppress(psutil.NoSuchProcess):
                peak = max(peak, _total(process.pid, lambda member: float(member.memory_info().rss)))
            with suppress(subprocess.TimeoutExpired):
                process.wait(SAMPLE_SECONDS)
                break
    if process.returncode:
        shown = last_lines(output.read_text(encoding="utf-8", errors="replace"))
        raise CommentwiseError(f"`{' '.join(command)}` ended with exit code {process.returncode}: {shown}")
    return peak / 1024**2


def cpu_seconds(pid: int) -> float:
    """CPU time used by a process and its children so far."""
    return _total(pid, lambda process: sum(process.cpu_times()[:2]))


def memory_mb(pid: int) -> float:
    """Resident memory of a process and its children in MB; on Linux, shared pages count once."""
    return _total(pid, _resident_bytes) / 1024**2


def last_lines(output: str, count: int = LAST_LINES) -> str:
    """The last lines of an output that are not blank."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return "\n".join(lines[-count:]) or "no output"


def _total(pid: int, use: Callable[[psutil.Process], float]) -> float:
    process = psutil.Process(pid)
    total = 0.0
    for member in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):  # it has exited
            total += use(member)
    return total


def _resident_bytes(process: psutil.Process) -> float:
    memory = process.memory_full_info()
    return float(getattr(memory, "pss", memory.rss))


def _variables() -> dict[str, str]:
    """The environment variables without settings of our server, and with this environment's programs first in PATH.

    Telemetry and downloads of the peers are off.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COMMENTWISE_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    quiet = {"DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return inherited | quiet | {"PATH": path}


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process and kill the rest of its process group, since LitServe's children outlive it."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

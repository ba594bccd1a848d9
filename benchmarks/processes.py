"""Processes that a benchmark starts: what they and their children use, and leaving none behind."""

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
"""Between two looks at a command's memory; each look costs the cores a few milliseconds."""


@contextmanager
def started(command: Sequence[str], output: Path, folder: Path = Path()) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command in `folder`, its output going to the file `output`; end it with all its children afterwards."""
    with output.open("wb") as stream:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_variables(),
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is ours to pass on, and its children can be ended with it
        )
    try:
        yield process
    finally:
        _stop(process)


def run(command: Sequence[str], output: Path, folder: Path = Path()) -> float:
    """Run a command to its end, and return the most MB of resident memory that its processes had together, as sampled.

    Pages that they share count for each: to find these out would hold the command up.
    Raises CommentwiseError with its last output when it fails.
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
        said = last_lines(output.read_text(encoding="utf-8", errors="replace"))
        raise CommentwiseError(f"`{' '.join(command)}` ended with exit code {process.returncode}: {said}")
    return peak / 1024**2


def cpu_seconds(pid: int) -> float:
    """CPU time that a process and its children have used so far."""
    return _total(pid, lambda process: sum(process.cpu_times()[:2]))


def memory_mb(pid: int) -> float:
    """Resident memory of a process and its children, pages that they share counted once where that is known (Linux)."""
    return _total(pid, _resident_bytes) / 1024**2


def last_lines(output: str, count: int = LAST_LINES) -> str:
    """The last lines that say something."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return "\n".join(lines[-count:]) or "it said nothing"


def _total(pid: int, use: Callable[[psutil.Process], float]) -> float:
    process = psutil.Process(pid)
    total = 0.0
    for member in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile
            total += use(member)
    return total


def _resident_bytes(process: psutil.Process) -> float:
    memory = process.memory_full_info()
    return float(getattr(memory, "pss", memory.rss))


def _variables() -> dict[str, str]:
    """The environment without settings of our server, with this environment's programs first.

    Telemetry and downloads of the peers are switched off.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COMMENTWISE_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    quiet = {"DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return inherited | quiet | {"PATH": path}


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and end what is left of its group: LitServe's children outlive it."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

"""The real server as a process."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from serving.demo import free_port

ROOT = Path(__file__).parents[2]
PATIENCE = 60
"""Seconds after which a server that hangs is killed, so that its test fails."""


@dataclass(frozen=True)
class Server:
    """A server that listens."""

    url: str
    port: int
    process: subprocess.Popen[str]
    first_line: str

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


def spawn(folder: Path, *flags: str, **variables: str) -> subprocess.Popen[str]:
    """Start `python -m serving` in a folder of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COMMENTWISE_")}
    return subprocess.Popen(
        [sys.executable, "-m", "serving", *flags],
        cwd=folder,
        env=inherited | {"PYTHONPATH": str(ROOT)} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def started(folder: Path, *flags: str) -> Iterator[Server]:
    """Start a server on a free port, wait for the line that says it listens, and leave no process behind."""
    port = free_port()
    process = spawn(folder, "--port", str(port), *flags)
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        first_line = process.stdout.readline()
        if not first_line:
            raise AssertionError(f"the server did not start: {process.communicate()[1]}")
        yield Server(f"http://127.0.0.1:{port}", port, process, first_line)
    finally:
        watchdog.cancel()
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    """Stop a server, and kill what it leaves."""
    if process.poll() is not None:
        return
    children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    process.communicate(timeout=PATIENCE)
    for child in psutil.wait_procs(children, timeout=PATIENCE)[1]:
        child.kill()

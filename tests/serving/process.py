"""The server as a process of its own."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from commentwise.serving.demo import free_port

ROOT = Path(__file__).parents[2]
PROGRAM = ("-m", "commentwise.serving")
PATIENCE = 60
"""Timeout in seconds for everything a server does, so that a test with one that hangs fails."""


@dataclass(frozen=True)
class Server:
    """A server that is listening."""

    url: str
    port: int
    process: subprocess.Popen[str]
    first_line: str
    log: Path

    def processes(self) -> list[psutil.Process]:
        """All its processes except the first."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def workers(self) -> list[psutil.Process]:
        """Its inference processes, which are children of the fork server."""
        (server,) = (
            process
            for process in self.processes()
            if "multiprocessing.forkserver" in " ".join(process.cmdline()) and process.children()
        )
        return server.children()

    def http_process(self) -> psutil.Process:
        """The HTTP process, forked from the first."""
        first = psutil.Process(self.process.pid)
        (http,) = (child for child in first.children() if child.cmdline() == first.cmdline())
        return http


def spawn(folder: Path, *flags: str, program: Sequence[str] = PROGRAM, **variables: str) -> subprocess.Popen[str]:
    """Start the server in a folder of its own; its standard error goes to the file `log` there.

    `program`: Python's arguments that start a server.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COMMENTWISE_")}
    with (folder / "log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, *program, *flags],
            cwd=folder,
            env=inherited | {"PYTHONPATH": str(ROOT)} | variables,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )


@contextmanager
def started(folder: Path, *flags: str, program: Sequence[str] = PROGRAM, **variables: str) -> Iterator[Server]:
    """Start a server on a free port, wait for the line that it prints once it listens, and leave no process behind."""
    port = free_port()
    process = spawn(folder, "--port", str(port), *flags, program=program, **variables)
    try:
        first_line = _first_line(process)
        if not first_line:
            raise AssertionError(f"the server did not start: {(folder / 'log').read_text()}")
        yield Server(f"http://127.0.0.1:{port}", port, process, first_line, folder / "log")
    finally:
        end(process)


def _first_line(process: subprocess.Popen[str]) -> str:
    """The line that a server prints once it listens; empty if it exits before, or is killed after PATIENCE."""
    assert process.stdout is not None
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    try:
        return process.stdout.readline()
    finally:
        watchdog.cancel()


def end(process: subprocess.Popen[str]) -> None:
    """Stop a server, and kill the processes it leaves."""
    if process.poll() is not None:
        return
    children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
    for child in psutil.wait_procs(children, timeout=PATIENCE)[1]:
        child.kill()

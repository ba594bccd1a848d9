"""A server under test: a separate process on a free port, queried over HTTP."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks import processes
from benchmarks.servers.installed import Packages
from commentwise.errors import CommentwiseError
from commentwise.serving.demo import free_port

START_SECONDS = 180
POLL_SECONDS = 0.02
"""Interval of health checks, and so the resolution of start-up times."""
ANSWER_SECONDS = 60
CONCURRENT_REQUESTS = 32


@dataclass(frozen=True)
class Server:
    """One contender: how to start it, how to query it, and what it needs."""

    name: str
    description: str
    """A short description of the server."""
    command: Callable[[int], list[str]]
    """The command that serves on a port. Creates what the command needs first, or raises Unavailable."""
    path: str
    """Path of the prediction route."""
    request: Callable[[str], dict[str, Any]]
    """The JSON request for one comment."""
    label: Callable[[Any], str]
    """Extracts the label from a JSON answer."""
    imports: str
    """Python statements that import what the server imports when it starts."""
    packages: Callable[[], Packages]
    """The packages that it needs. Raises Unavailable or PackageNotFoundError if they are not installed."""
    python: Callable[[], Path] = lambda: Path(sys.executable)
    """The interpreter of its environment."""
    quick: bool = False
    """It starts without torch, so that a quick run can include it."""
    folder: Path = Path()
    """Working folder of the command."""

    def body(self, comment: str) -> str:
        """The body of the request for one comment."""
        return json.dumps(self.request(comment), ensure_ascii=False)


class Running:
    """A running server and the resources that its processes use."""

    def __init__(self, server: Server, process: subprocess.Popen[bytes], client: httpx.Client, output: Path) -> None:
        """Wait for its health check. Raises CommentwiseError if it exits first or is not ready in time."""
        self._server = server
        self._process = process
        self._client = client
        self._output = output
        start = time.monotonic()
        self._wait(start + START_SECONDS)
        self.ready_seconds = time.monotonic() - start

    @property
    def url(self) -> str:
        """Address of the prediction route."""
        return str(self._client.base_url.join(self._server.path))

    def check(self) -> None:
        """Raise CommentwiseError with its last output if the process has exited."""
        if self._process.poll() is not None:
            raise CommentwiseError(self._with_output(f"it ended with exit code {self._process.returncode}"))

    def _wait(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            self.check()
            with suppress(httpx.TransportError):
                if self._client.get("/health").is_success:
                    return
            time.sleep(POLL_SECONDS)
        raise CommentwiseError(self._with_output(f"it was not ready within {START_SECONDS} seconds"))

    def labels(self, comments: Sequence[str]) -> list[str]:
        """The server's labels for comments, requested concurrently, since batches change the answers of some servers.

        Raises CommentwiseError if it refuses a request or an answer is malformed.
        """
        with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
            return list(pool.map(self._label, comments))

    def _label(self, comment: str) -> str:
        body = self._server.body(comment).encode()
        try:
            response = self._client.post(self._server.path, content=body, headers={"Content-Type": "application/json"})
            return self._server.label(response.raise_for_status().json())
        except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            raise CommentwiseError(self._with_output(f"it does not answer {comment!r} ({error!r})")) from None

    def cpu_seconds(self) -> float:
        """CPU time used by its processes so far."""
        self.check()
        return processes.cpu_seconds(self._process.pid)

    def memory_mb(self) -> float:
        """Resident memory of its processes in MB."""
        self.check()
        return processes.memory_mb(self._process.pid)

    def _with_output(self, message: str) -> str:
        return f"{message}\n{processes.last_lines(self._output.read_text(encoding='utf-8', errors='replace'))}"


@contextmanager
def running(server: Server) -> Iterator[Running]:
    """Start a server, yield it once it is healthy, and end all its processes afterwards.

    Raises Unavailable if it cannot run on this machine, and CommentwiseError if it does not start.
    """
    port = free_port()
    command = server.command(port)
    with tempfile.TemporaryDirectory(prefix="serving-") as folder:
        output = Path(folder) / "output.txt"
        with (
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=ANSWER_SECONDS, trust_env=False) as client,
            processes.started(command, output, server.folder) as process,
        ):
            yield Running(server, process, client, output)

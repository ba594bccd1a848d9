"""A server under test: a process of its own on a free port, asked over HTTP."""

import json
import subprocess
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
from commentwise.errors import CommentwiseError
from commentwise.serving.demo import free_port

START_SECONDS = 180
LOOK_SECONDS = 0.02
"""Between two looks whether it is healthy: start-up is measured so exactly."""
ANSWER_SECONDS = 60
ASKED_AT_ONCE = 32


class Missing(CommentwiseError):
    """A server that cannot be had here; the message says why."""


@dataclass(frozen=True)
class Server:
    """How one server is started and asked."""

    name: str
    what: str
    """What it runs, in a few words."""
    command: Callable[[int], list[str]]
    """What serves on a port; makes what that needs first. Raises Missing where it cannot be made."""
    path: str
    ask: Callable[[str], dict[str, Any]]
    """The request for one comment."""
    label: Callable[[Any], str]
    """The label in an answer."""
    folder: Path = Path()
    """Where the command runs."""

    def body(self, comment: str) -> str:
        """The request for one comment as it is sent."""
        return json.dumps(self.ask(comment), ensure_ascii=False)


class Running:
    """A server that answers, and what its processes use."""

    def __init__(self, server: Server, process: subprocess.Popen[bytes], client: httpx.Client, output: Path) -> None:
        """Wait for its health check. Raises CommentwiseError when it ends before or is not ready in time."""
        self._server = server
        self._process = process
        self._client = client
        self._output = output
        start = time.monotonic()
        self._wait(start + START_SECONDS)
        self.ready_seconds = time.monotonic() - start

    @property
    def url(self) -> str:
        """Where comments are sent."""
        return str(self._client.base_url.join(self._server.path))

    def check(self) -> None:
        """Raise CommentwiseError with its last output when the process has ended."""
        if self._process.poll() is not None:
            raise CommentwiseError(self._with_output(f"it ended with exit code {self._process.returncode}"))

    def _wait(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            self.check()
            with suppress(httpx.TransportError):
                if self._client.get("/health").is_success:
                    return
            time.sleep(LOOK_SECONDS)
        raise CommentwiseError(self._with_output(f"it was not ready within {START_SECONDS} seconds"))

    def labels(self, comments: Sequence[str]) -> list[str]:
        """Its labels of comments, many asked at a time, since some servers answer otherwise in batches.

        Raises CommentwiseError when it refuses one or answers in another form.
        """
        with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            return list(pool.map(self._label, comments))

    def _label(self, comment: str) -> str:
        body = self._server.body(comment).encode()
        try:
            response = self._client.post(self._server.path, content=body, headers={"Content-Type": "application/json"})
            return self._server.label(response.raise_for_status().json())
        except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            raise CommentwiseError(self._with_output(f"it does not answer {comment!r} ({error!r})")) from None

    def cpu_seconds(self) -> float:
        """CPU time that its processes have used so far."""
        self.check()
        return processes.cpu_seconds(self._process.pid)

    def memory_mb(self) -> float:
        """Resident memory of its processes."""
        self.check()
        return processes.memory_mb(self._process.pid)

    def _with_output(self, message: str) -> str:
        return f"{message}\n{processes.last_lines(self._output.read_text(encoding='utf-8', errors='replace'))}"


@contextmanager
def running(server: Server) -> Iterator[Running]:
    """Start a server, yield it once it is healthy, and leave none of its processes behind.

    Raises Missing when it cannot be had here and CommentwiseError when it does not come up.
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

"""A relay in front of the real server: it records requests, and can delay them, break them, or answer something else."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE = 60


@dataclass(frozen=True)
class Seen:
    """A request."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]


@dataclass
class Relay:
    """The requests received, and how to treat further ones."""

    server: str
    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    """Answers to give instead of the server's, to the next requests for /analyze."""
    gone: threading.Event = field(default_factory=threading.Event)
    """Set once a client has disconnected before its answer."""
    answered_at: float = 0.0
    """Time of the last answer to /analyze, as given by time.time."""
    changed: threading.Condition = field(default_factory=threading.Condition)
    _open: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._open.set()

    def hold(self) -> None:
        """Delay requests from now on."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def wait_open(self) -> None:
        self._open.wait(PATIENCE)

    def texts(self) -> list[list[str]]:
        """The texts of each request for /analyze."""
        return [seen.body["texts"] for seen in list(self.seen) if seen.path == "/analyze"]

    def wait_for(self, count: int, path: str = "/analyze") -> None:
        """Wait until `count` requests for `path` have arrived."""
        with self.changed:
            arrived = self.changed.wait_for(lambda: sum(seen.path == path for seen in self.seen) >= count, PATIENCE)
        assert arrived, f"{count} requests for {path} were expected: {[seen.path for seen in self.seen]}"


@contextmanager
def relaying(server: str) -> Iterator[Relay]:
    """Relay to the server at this address."""
    relay = Relay(server)
    listener = ThreadingHTTPServer(("127.0.0.1", 0), _handler(relay))
    relay.url = f"http://127.0.0.1:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        relay.release()
        listener.shutdown()
        listener.server_close()
        thread.join()


def _handler(relay: Relay) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._relay(b"")

        def do_POST(self) -> None:
            self._relay(self.rfile.read(int(self.headers["Content-Length"])))

        def _relay(self, body: bytes) -> None:
            with relay.changed:
                relay.seen.append(Seen(self.path, json.loads(body or "{}"), dict(self.headers)))
                relay.changed.notify_all()
            relay.wait_open()
            if self.path in ("/analyze", "/feedback") and relay.answers:
                status, headers, content = relay.answers.pop(0)
                self._answer(status, headers, content.encode())
            else:
                self._answer(*self._ask(body))
            if self.path == "/analyze":
                relay.answered_at = time.time()

        def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(relay.server.removeprefix("http://"), timeout=PATIENCE)
            try:
                kept = {name: self.headers[name] for name in ("Content-Type", "Authorization") if name in self.headers}
                connection.request(self.command, self.path, body or None, kept)
                response = connection.getresponse()
                passed = ("Content-Type", "Retry-After")
                return response.status, {n: v for n, v in response.getheaders() if n.title() in passed}, response.read()
            except OSError:
                return 502, {}, b""
            finally:
                connection.close()

        def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            try:
                self.send_response(status)
                for name, value in (headers | {"Content-Length": str(len(content))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
                self.wfile.flush()
            except OSError:
                relay.gone.set()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler

"""The Python clients, with a fake server that gives prepared responses, and with the real one."""

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import FrozenInstanceError, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from commentwise.serving.client import REQUESTS_AT_ONCE, Analysis, AsyncClient, Client, ClientError, Refusal
from commentwise.serving.demo import free_port
from tests.serving.process import PATIENCE, started

GOOD = {"sentiment": "positive", "confidence": 0.9, "probabilities": {"negative": 0.1, "positive": 0.9}}
FULL = GOOD | {"unsure": True, "tokens": 5, "truncated": True, "language": "de", "of a later version": 1}
EMPTY = {"error": "texts[1] is '': nothing is left of it", "error_type": "Validation"}


@dataclass
class Reply:
    """A prepared response; without a status the connection is reset."""

    status: int | None = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeServer:
    """A server that sends `replies`, then regular responses, and records the requests."""

    url: str = ""
    replies: list[Reply] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    before_answer: Callable[[], object] = lambda: None

    def bodies(self) -> list[Any]:
        return [body for _, _, _, body in self.requests]


def regular(path: str, body: Any) -> Reply:
    if path == "/analyze" and "texts" in body:
        results = [GOOD | {"sentiment": text} if text else EMPTY for text in body["texts"]]
        return Reply(body={"results": results, "bundle_id": "5a3f"})
    return Reply(body={"/analyze": GOOD, "/info": {"labels": ["a"]}, "/health": {"status": "ready"}}[path])


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.loads(content) if content else None
            fake.requests.append((self.command, self.path, dict(self.headers), body))
            fake.before_answer()
            reply = fake.replies.pop(0) if fake.replies else regular(self.path, body)
            if reply.status is None:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
                return
            answer = reply.body.encode() if isinstance(reply.body, str) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(answer)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as fake.url:
        yield fake


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listener:
        listener.handle_error = lambda *_: None  # type: ignore[method-assign]  # reset connections are expected
        listener.daemon_threads = True
        listener.block_on_close = False
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.server_port}"
        finally:
            listener.shutdown()
            thread.join()


def busy(status: int, retry_after: str | None = "0") -> Reply:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Reply(status, {"error": "too many comments are waiting", "error_type": "Overloaded"}, headers)


def test_one_text(server: FakeServer) -> None:
    server.replies = [Reply(body=GOOD), Reply(body=FULL)]
    with Client(server.url) as client:
        assert client.analyze("a") == Analysis("positive", 0.9, {"negative": 0.1, "positive": 0.9}, False, 0, False)
        found = client.analyze("é \U0001f600 \ud83d")
    assert (found.unsure, found.tokens, found.truncated, found.language) == (True, 5, True, "de")
    assert server.bodies() == [{"text": "a"}, {"text": "é \U0001f600 "}]  # a lone surrogate is dropped
    with pytest.raises(FrozenInstanceError):
        found.tokens = 6  # type: ignore[misc]


def test_many_texts_keep_their_order(server: FakeServer) -> None:
    texts = [f"text {i}" for i in range(150)]
    texts[70] = ""
    with Client(server.url) as client:
        results = client.analyze_many(text for text in texts)
        assert client.analyze_many([]) == []
    assert [len(body["texts"]) for body in server.bodies()] == [64, 64, 22]
    assert results[70] == Refusal(EMPTY["error"], "Validation")
    assert [entry.sentiment for entry in results if isinstance(entry, Analysis)] == [text for text in texts if text]


def test_many_texts_are_several_requests_at_once(server: FakeServer) -> None:
    texts = [str(i) for i in range(10 * REQUESTS_AT_ONCE)]
    together = threading.Barrier(REQUESTS_AT_ONCE, timeout=PATIENCE)  # opens for this many concurrent requests
    server.before_answer = together.wait

    async def send() -> list[Analysis | Refusal]:
        async with AsyncClient(server.url) as client:
            return await client.analyze_many(texts, batch=5)

    assert [entry.sentiment for entry in asyncio.run(send()) if isinstance(entry, Analysis)] == texts
    assert len(server.requests) == 2 * REQUESTS_AT_ONCE


def test_a_single_text_or_an_empty_batch_is_refused(server: FakeServer) -> None:
    with Client(server.url) as client:
        with pytest.raises(TypeError, match="single text"):
            client.analyze_many("text")
        with pytest.raises(ValueError, match="batch is 0"):
            client.analyze_many(["text"], batch=0)


def test_key_info_and_health(server: FakeServer) -> None:
    with Client(f"{server.url}/", api_key="secret") as client:
        assert client.health()
        assert client.info() == {"labels": ["a"]}
        server.replies = [busy(503)]
        assert not client.health()
    assert [(method, path) for method, path, _, _ in server.requests[:2]] == [("GET", "/health"), ("GET", "/info")]
    assert {headers["Authorization"] for _, _, headers, _ in server.requests} == {"Bearer secret"}
    with Client(server.url) as client:
        client.info()
    assert "Authorization" not in server.requests[-1][2]
    with Client(f"http://127.0.0.1:{free_port()}") as client:
        assert not client.health()


RETRIED = {
    "busy": [busy(429), busy(503)],
    "busy without Retry-After": [busy(503, None)],
    "busy with a date in Retry-After": [busy(429, "Wed, 21 Oct 2015 07:28:00 GMT")],
    "reset": [Reply(None), Reply(None)],
}


@pytest.mark.parametrize("replies", RETRIED.values(), ids=RETRIED.keys())
def test_transient_failures_are_retried(server: FakeServer, replies: list[Reply]) -> None:
    server.replies = list(replies)
    with Client(server.url) as client:
        answer = client.analyze("text")
        assert answer.label == answer.sentiment == "positive"
    assert server.bodies() == [{"text": "text"}] * (len(replies) + 1)


@pytest.mark.parametrize("replies", RETRIED.values(), ids=RETRIED.keys())
def test_transient_failures_are_retried_in_asyncio(server: FakeServer, replies: list[Reply]) -> None:
    async def send() -> Analysis:
        async with AsyncClient(server.url) as client:
            assert await client.health()
            assert await client.info() == {"labels": ["a"]}
            server.replies = list(replies)
            return await client.analyze("text")

    assert asyncio.run(send()).sentiment == "positive"
    assert len(server.requests) == len(replies) + 3


def test_attempts_are_limited(server: FakeServer) -> None:
    server.replies = [busy(429)] * 9
    with Client(server.url, max_attempts=3) as client, pytest.raises(ClientError, match="too many comments") as raised:
        client.analyze("text")
    assert (raised.value.status, raised.value.error) == (429, "too many comments are waiting")
    assert len(server.requests) == 3


def test_a_pause_beyond_the_timeout_is_an_error_at_once(server: FakeServer) -> None:
    server.replies = [busy(503, "3600")]
    with Client(server.url) as client, pytest.raises(ClientError, match="answered 503"):
        client.analyze("text")
    assert len(server.requests) == 1


def test_a_closed_port_is_an_error() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with (
        Client(url, max_attempts=2) as client,
        pytest.raises(ClientError, match=f"{url}.* cannot be reached") as raised,
    ):
        client.analyze("text")
    assert raised.value.status is None


def test_a_silent_server_is_an_error(server: FakeServer) -> None:
    done = threading.Event()
    server.before_answer = lambda: done.wait(PATIENCE)
    with Client(server.url, timeout=0.2) as client:
        with pytest.raises(ClientError, match=r"did not answer within 0\.2 seconds"):
            client.analyze("text")
        assert not client.health()
    done.set()


ERRORS = {
    "wrong key": (Reply(401, {"error": "the key is wrong", "error_type": "Unauthorized"}), 401, "the key is wrong"),
    "too long": (Reply(413, {"error": "the body is too long", "error_type": "Validation"}), 413, "body is too long"),
    "invalid": (Reply(422, EMPTY), 422, "nothing is left of it"),
    "timeout": (Reply(504, {"error": "it took too long", "error_type": "Timeout"}), 504, "it took too long"),
    "proxy": (Reply(502, "<html>Bad Gateway</html>"), 502, "Bad Gateway"),
    "no JSON": (Reply(200, "<html>Welcome</html>"), None, "is it a Commentwise server"),
    "other JSON": (Reply(200, {"hello": "you"}), None, "is it a Commentwise server"),
}


@pytest.mark.parametrize(("reply", "status", "message"), ERRORS.values(), ids=ERRORS.keys())
def test_other_errors_are_final(server: FakeServer, reply: Reply, status: int | None, message: str) -> None:
    server.replies = [reply]
    with Client(server.url) as client, pytest.raises(ClientError, match=message) as raised:
        client.analyze("text")
    assert raised.value.status == status
    server.replies = [reply]
    with Client(server.url) as client, pytest.raises(ClientError, match=message):
        client.analyze_many(["text"])
    assert len(server.requests) == 2


def test_an_error_of_one_request_cancels_the_others(server: FakeServer) -> None:
    server.replies = [Reply(422, EMPTY)]

    async def send() -> None:
        async with AsyncClient(server.url) as client:
            await client.analyze_many([str(i) for i in range(100)], batch=1)

    with pytest.raises(ClientError, match="nothing is left of it"):
        asyncio.run(send())
    assert len(server.requests) < 100


def test_the_real_server(tiny_bundle: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--model", str(tiny_bundle)) as server, Client(server.url) as client:
        assert client.health()
        assert client.info()
        found = client.analyze("a good video")
        assert (found.sentiment, set(found.probabilities)) == ("positive", {"negative", "neutral", "positive"})
        assert found.confidence == found.probabilities["positive"]
        with pytest.raises(ClientError, match="nothing is left"):
            client.analyze(" ")

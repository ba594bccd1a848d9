"""A wire format added by the documented steps alone, and the checks of its declaration."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from commentwise.models.bundle import bundle_id
from commentwise.serving import protocols
from commentwise.serving.http.routes import route_table
from commentwise.serving.http.wire_format import RouteTable, WireFormat
from tests.serving.process import PATIENCE, Server, started
from tests.serving.test_faults import figure
from tests.waiting import until

MAX_BODY = 10_000
SHOUT = '''
"""A format that answers in capitals, as a module in serving/protocols."""

import inspect

from pydantic import BaseModel

from commentwise.serving.http.context import CurrentContext
from commentwise.serving.http.inference import CurrentInference
from commentwise.serving.http.wire_format import WireFormat
from commentwise.serving.runtime.served import Cut

FORMAT = WireFormat("Shouting")


class Shout(BaseModel):
    """Something to shout."""

    words: str


@FORMAT.prediction("/shout", fast=True)
@FORMAT.prediction("/{voice}/shout")
async def shout(body: Shout, context: CurrentContext, inference: CurrentInference) -> dict[str, str | bool]:
    """Shout the label."""
    through_fastapi = any(frame.filename.endswith("fastapi/routing.py") for frame in inspect.stack())
    classification = await inference.classify(context, "words", [body.words], Cut())
    label = classification.answers[0].label.upper()
    return {"label": label, "bundle": classification.bundle.bundle_id, "through_fastapi": through_fastapi}
'''
LAUNCHER = """
from commentwise.serving import protocols

protocols.__path__.append({folder!r})

from commentwise.errors import run_command
from commentwise.serving.__main__ import main

if __name__ == "__main__":
    run_command(main)
"""


@pytest.fixture(scope="module")
def server(slow_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose folder of formats has one more module; each comment takes it a tenth of a second."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "formats").mkdir()
    (folder / "formats" / "shout.py").write_text(SHOUT)
    (folder / "launcher.py").write_text(LAUNCHER.format(folder=str(folder / "formats")))
    flags = ["--workers", "1", "--threads", "1", "--cache", "0", "--max-body", str(MAX_BODY)]
    with started(folder, "--model", str(slow_bundle), *flags, program=["launcher.py"]) as server:
        yield server


def shout(server: Server, path: str = "/shout", headers: dict[str, str] | None = None, words: str = "good") -> Any:
    return httpx.post(f"{server.url}{path}", json={"words": words}, headers=headers, timeout=PATIENCE, trust_env=False)


def test_it_answers_on_the_fast_path_where_declared(server: Server, slow_bundle: Path) -> None:
    answer = {"label": "POSITIVE", "bundle": bundle_id(slow_bundle)}
    assert shout(server).json() == answer | {"through_fastapi": False}
    assert shout(server, "/loud/shout").json() == answer | {"through_fastapi": True}


def test_its_requests_count_as_predictions(server: Server) -> None:
    names = {
        "te_request_count": 2,
        "te_request_success": 1,
        'te_request_failure{err="Validation"}': 1,
        'commentwise_requests_total{route="/shout",status="200"}': 1,
        'commentwise_requests_total{route="/shout",status="422"}': 1,
        'commentwise_predictions_total{label="positive"}': 1,
    }
    before = {name: figure(server, name) for name in names}
    assert [shout(server, words=words).status_code for words in ("good", " ")] == [200, 422]
    until(lambda: {name: figure(server, name) - before[name] for name in names} == names)


@pytest.mark.parametrize("path", ["/shout", "/loud/shout"])
def test_its_body_is_limited(server: Server, path: str) -> None:
    response = shout(server, path, words="good " * MAX_BODY)
    assert (response.status_code, str(MAX_BODY) in response.json()["error"]) == (413, True)


@pytest.mark.parametrize("path", ["/shout", "/loud/shout"])
def test_its_deadline_is_that_of_every_prediction(server: Server, path: str) -> None:
    assert shout(server, path, {"Request-Timeout": "0.01"}).status_code == 504
    assert shout(server, path, {"Request-Timeout": "soon"}).status_code == 422
    assert answer_to_a_head_alone(server, path).startswith(b"HTTP/1.1 408")


def answer_to_a_head_alone(server: Server, path: str) -> bytes:
    """Send a request whose body never arrives; return the beginning of the answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nRequest-Timeout: 0.1\r\n\r\n"
        connection.sendall(head.encode())
        return connection.recv(100)


@pytest.mark.parametrize("path", ["/shout", "/loud/shout"])
def test_it_is_refused_while_the_queue_is_full(server: Server, path: str) -> None:
    body = json.dumps({"texts": ["good " * (index + 1) for index in range(60)]})
    head = f"POST /analyze HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall((head + body).encode())
        until(lambda: figure(server, "te_queue_size") > 40)
        refused = shout(server, path, {"Request-Timeout": "0.2"})
    assert (refused.status_code, refused.json()["error_type"]) == (429, "Overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    until(lambda: figure(server, "te_queue_size") == 0)  # the client has disconnected


def test_it_is_in_the_api_documentation(server: Server) -> None:
    paths = httpx.get(f"{server.url}/openapi.json", trust_env=False).json()["paths"]
    for path in ("/shout", "/{voice}/shout"):
        operation = paths[path]["post"]
        assert operation["tags"] == ["Shouting"]
        assert {"408", "413", "429", "504"} <= set(operation["responses"])


def test_feedback_has_the_limits_of_a_prediction_and_counts_as_none(server: Server) -> None:
    before = figure(server, "te_request_count")
    response = httpx.post(f"{server.url}/feedback", content=b"x" * (MAX_BODY + 1), trust_env=False)
    assert response.status_code == 413
    assert answer_to_a_head_alone(server, "/feedback").startswith(b"HTTP/1.1 408")
    until(lambda: figure(server, 'commentwise_requests_total{route="/feedback"') == 2)
    assert figure(server, "te_request_count") == before


def test_fast_route_with_other_parameters_is_refused() -> None:
    wire_format = WireFormat("Shouting")
    with pytest.raises(TypeError, match="/shout"):

        @wire_format.prediction("/shout", fast=True)
        async def shout(words: str) -> str:
            return words


def test_route_that_two_formats_declare_is_refused() -> None:
    formats = [WireFormat("one"), WireFormat("two")]
    for wire_format in formats:
        wire_format.post("/shout")(lambda: "")
    with pytest.raises(ValueError, match="POST /shout is declared twice"):
        RouteTable(formats)


def test_module_without_a_format_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "forgotten.py").write_text("routes = []\n")
    monkeypatch.setattr(protocols, "__path__", [*protocols.__path__, str(tmp_path)])
    with pytest.raises(AttributeError, match="FORMAT"):
        protocols.find_formats()


def test_every_prediction_route_of_the_server() -> None:
    table = route_table()
    predictions = {route.path: route.fast for route in table.routes if route.predicts}
    assert predictions == {
        "/": True,
        "/analyze": True,
        "/predict": True,
        "/invocations": False,
        "/v2/models/{model}/infer": False,
        "/v2/models/{model}/versions/{version}/infer": False,
    }
    assert table.probes == {"/health", "/health/live", "/ping", "/v2/health/live", "/v2/health/ready"}

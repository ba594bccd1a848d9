import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub import InferenceClient
from litserve.utils import WorkerSetupStatus

from models.bundle import Classifier, bundle_id
from serving.routes import add_routes
from serving.server import BundleServer
from serving.settings import Settings
from tests.serving.process import Server, started
from tests.tiny import GRAPH, LABELS, MAX_TOKENS

MAX_CHARACTERS = 20_000
MAX_BATCH = 256
MAX_BODY = 2_000_000
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started(tmp_path_factory.mktemp("server"), "--model", str(tiny_bundle)) as server:
        yield server


@pytest.fixture(scope="module")
def classifier(tiny_bundle: Path) -> Classifier:
    return Classifier(tiny_bundle)


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        yield client


def labels_of(answers: list[list[dict[str, Any]]]) -> list[str]:
    return [scores[0]["label"] for scores in answers]


def test_predict_answers_one_text_with_a_nested_list(client: httpx.Client, classifier: Classifier) -> None:
    response = client.post("/predict", json={"inputs": "a good video"})
    assert response.status_code == 200
    (scores,) = response.json()
    assert [score["label"] for score in scores] == ["positive", "neutral", "negative"]
    (expected,) = classifier.predict(["a good video"])
    assert {score["label"]: score["score"] for score in scores} == expected.probabilities


def test_predict_keeps_the_order_of_texts_and_sorts_each_by_score(client: httpx.Client) -> None:
    answers = client.post("/predict", json={"inputs": ["bad", "good", "a video", "bad", "love"]}).json()
    assert labels_of(answers) == ["negative", "positive", "neutral", "negative", "positive"]
    for scores in answers:
        assert [score["score"] for score in scores] == sorted((score["score"] for score in scores), reverse=True)
        assert sum(score["score"] for score in scores) == pytest.approx(1)


def test_predict_answers_a_list_of_one(client: httpx.Client) -> None:
    assert labels_of(client.post("/predict", json={"inputs": ["bad"]}).json()) == ["negative"]


def test_analyze(client: httpx.Client, classifier: Classifier) -> None:
    response = client.post("/analyze", json={"text": "an awful video"})
    assert response.status_code == 200
    (expected,) = classifier.predict(["an awful video"])
    assert response.json() == {
        "sentiment": "negative",
        "confidence": expected.probabilities["negative"],
        "probabilities": expected.probabilities,
    }


def test_health(client: httpx.Client) -> None:
    response = client.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ready"})


def test_health_is_503_until_the_worker_is_ready(tiny_bundle: Path) -> None:
    server = BundleServer(Settings(model=tiny_bundle), "cpu")
    add_routes(server.app, server, Settings(model=tiny_bundle))

    async def code(states: dict[str, str]) -> int:
        server.workers_setup_status = states
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url=server.url) as client:
            return (await client.get("/health")).status_code

    assert asyncio.run(code({})) == 503
    assert asyncio.run(code({"predict_0": WorkerSetupStatus.STARTING})) == 503
    assert asyncio.run(code({"predict_0": WorkerSetupStatus.READY})) == 200


def test_info(client: httpx.Client, tiny_bundle: Path) -> None:
    info = client.get("/info").json()
    assert info.pop("version")
    assert info == {
        "family": "logreg",
        "checkpoint": "tiny",
        "labels": LABELS,
        "max_tokens": MAX_TOKENS,
        "device": "cpu",
        "graph": GRAPH,
        "precision": "fp32",
        "bundle_id": bundle_id(tiny_bundle),
        "metrics": {"macro_f1": 0.9},
    }


REFUSALS: dict[str, tuple[str, Any, list[str]]] = {
    "empty text": ("/analyze", {"text": ""}, ["text is ''", "nothing is left"]),
    "white space": ("/analyze", {"text": " \t\n"}, ["text is ", "nothing is left"]),
    "invisible characters": ("/predict", {"inputs": "\u200b\x00"}, ["inputs is ", "nothing is left"]),
    "one empty text of several": ("/predict", {"inputs": ["good", "", "bad"]}, ["inputs[1] is ''"]),
    "no texts": ("/predict", {"inputs": []}, ["inputs is empty", "at least one"]),
    "number": ("/analyze", {"text": 5}, ["text is 5", "must be a text"]),
    "null": ("/predict", {"inputs": None}, ["inputs is None", "a text or a list of texts"]),
    "object": ("/predict", {"inputs": {"a": "good"}}, ["inputs is {'a': 'good'}", "a text or a list of texts"]),
    "number among texts": ("/predict", {"inputs": ["good", 5]}, ["inputs[1] is 5", "must be a text"]),
    "list in a list": ("/predict", {"inputs": [["good"]]}, ["inputs[0] is ['good']", "must be a text"]),
    "list for one text": ("/analyze", {"text": ["good"]}, ["text is ['good']", "must be a text"]),
    "missing text": ("/analyze", {"inputs": "good"}, ["field text is missing"]),
    "missing inputs": ("/predict", {"text": "good"}, ["field inputs is missing"]),
    "list as body": ("/predict", ["good"], ["must be a JSON object"]),
    "too many texts": (
        "/predict",
        {"inputs": ["good"] * (MAX_BATCH + 1)},
        ["inputs has 257 texts", f"limit is {MAX_BATCH}"],
    ),
    "too long a text": (
        "/analyze",
        {"text": "a" * 100_000},
        ["text has 100000 characters", f"limit is {MAX_CHARACTERS}"],
    ),
    "too long a text of several": (
        "/predict",
        {"inputs": ["good", "a" * (MAX_CHARACTERS + 1)]},
        ["inputs[1] has 20001 characters", f"limit is {MAX_CHARACTERS}"],
    ),
}


@pytest.mark.parametrize(("path", "body", "messages"), REFUSALS.values(), ids=REFUSALS.keys())
def test_refused_with_field_value_and_limit(client: httpx.Client, path: str, body: Any, messages: list[str]) -> None:
    assert_refused(client.post(path, json=body), 422, messages)


UNREADABLE: dict[str, tuple[bytes, dict[str, str], str]] = {
    "cut short": (b'{"text": "good', JSON, "not valid JSON"),
    "no JSON": (b"good", JSON, "not valid JSON"),
    "not UTF-8": (b'{"text": "\xff"}', JSON, "not valid JSON in UTF-8"),
    "too deep": (b"[" * 100_000, JSON, "not valid JSON"),
    "empty": (b"", JSON, "must be a JSON object"),
    "form": (b'{"text": "good"}', {"Content-Type": "application/x-www-form-urlencoded"}, "Content-Type"),
}


@pytest.mark.parametrize(("body", "headers", "message"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_unreadable_body_is_refused(client: httpx.Client, body: bytes, headers: dict[str, str], message: str) -> None:
    assert_refused(client.post("/analyze", content=body, headers=headers), 422, [message])


@pytest.mark.parametrize("path", ["/predict", "/analyze"])
def test_long_body_is_refused(client: httpx.Client, path: str) -> None:
    response = client.post(path, json={"inputs": "a" * MAX_BODY})
    assert_refused(response, 413, [f"{MAX_BODY} bytes"])


def test_body_sent_in_pieces_is_measured_too(client: httpx.Client) -> None:
    pieces = (b"a" * 100_000 for _ in range(30))
    assert_refused(client.post("/predict", content=pieces, headers=JSON), 413, [f"{MAX_BODY} bytes"])


@pytest.mark.parametrize(("method", "path", "code"), [("GET", "/nowhere", 404), ("GET", "/predict", 405)])
def test_other_errors_look_alike(client: httpx.Client, method: str, path: str, code: int) -> None:
    assert_refused(client.request(method, path), code, [])


def assert_refused(response: httpx.Response, code: int, messages: list[str]) -> None:
    assert response.status_code == code
    body = response.json()
    assert set(body) == {"error", "error_type"}
    assert body["error_type"] == "Validation"
    assert [message for message in messages if message not in body["error"]] == []
    assert "\n" not in body["error"]
    assert len(body["error"]) < 200


def test_limits_themselves_are_allowed(client: httpx.Client) -> None:
    longest = "good " * (MAX_CHARACTERS // 5)
    assert labels_of(client.post("/predict", json={"inputs": longest}).json()) == ["positive"]
    assert labels_of(client.post("/predict", json={"inputs": ["bad"] * MAX_BATCH}).json()) == ["negative"] * MAX_BATCH


def test_nul_bytes_are_dropped(client: httpx.Client) -> None:
    with_nul = client.post("/analyze", json={"text": "go\x00od"}).json()
    assert with_nul == client.post("/analyze", json={"text": "good"}).json()


def test_half_a_surrogate_pair_is_dropped(client: httpx.Client) -> None:
    response = client.post("/analyze", content=rb'{"text": "good \ud83d"}', headers=JSON)
    assert (response.status_code, response.json()["sentiment"]) == (200, "positive")


def test_concurrent_requests_get_their_own_answers(client: httpx.Client, classifier: Classifier) -> None:
    texts = [f"{word} {'video ' * (index % 7)}" for index, word in enumerate(["good", "bad", "a", "love"] * 8)]

    def ask(text: str) -> Any:
        return client.post("/analyze", json={"text": text}).json()["probabilities"]

    with ThreadPoolExecutor(len(texts)) as pool:
        answers = list(pool.map(ask, texts))
    assert answers == [prediction.probabilities for prediction in classifier.predict(texts)]


def test_hugging_face_client(server: Server) -> None:
    found = InferenceClient(f"{server.url}/predict").text_classification("a good video")
    assert [element.label for element in found] == ["positive", "neutral", "negative"]
    assert found[0].score > found[1].score > found[2].score


def test_server_says_where_it_is(server: Server, tiny_bundle: Path) -> None:
    assert server.first_line == f"serving bundle {bundle_id(tiny_bundle)[:12]} on cpu at {server.url}\n"

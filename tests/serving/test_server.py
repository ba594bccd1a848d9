import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from commentwise.models.bundle import Classifier, bundle_id
from tests.serving.process import Server, started
from tests.tiny import CASCADE, GRAPH, LABELS, MAX_TOKENS, add_cascade, write_tiny_manifest
from tests.waiting import until

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


def test_predict_answers_one_text_with_its_scores(client: httpx.Client, classifier: Classifier) -> None:
    response = client.post("/predict", json={"inputs": "a good video"})
    assert response.status_code == 200
    scores = response.json()
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
    text = "this is an awful video, and I hate the sound"
    response = client.post("/analyze", json={"text": text})
    assert response.status_code == 200
    (expected,) = classifier.predict([text])
    assert response.json() == {
        "label": "negative",
        "sentiment": "negative",
        "confidence": expected.probabilities["negative"],
        "probabilities": expected.probabilities,
        "unsure": False,
        "tokens": expected.tokens,
        "truncated": False,
        "language": "en",
    }


def test_each_text_gets_its_own_language_also_where_the_model_reads_the_same(client: httpx.Client) -> None:
    """The model knows neither word: both are one unknown token."""
    texts = ["すごい", "좋아요", "😀", "Video", "すごい", ""]
    client.post("/predict", json={"inputs": texts[:3]})  # answers without a language must not be reused
    for _ in range(2):  # computed, then from the cache
        results = client.post("/analyze", json={"texts": texts}).json()["results"]
        assert [result.get("language") for result in results] == ["ja", "ko", "und", "und", "ja", None]


def test_analyze_several_and_one_bad_among_them(client: httpx.Client, tiny_bundle: Path) -> None:
    answer = client.post("/analyze", json={"texts": ["an awful video", " ", "good"]}).json()
    first, second, third = answer["results"]
    assert (first["sentiment"], third["sentiment"]) == ("negative", "positive")
    assert second["error"].startswith("texts[1] is ' ': nothing is left")
    assert answer["bundle_id"] == bundle_id(tiny_bundle)


def test_analyze_marks_unsure_answers(client: httpx.Client) -> None:
    texts = {"texts": ["good", "a video"], "unsure_below": 0.6}
    assert [result["unsure"] for result in client.post("/analyze", json=texts).json()["results"]] == [False, True]


def test_analyze_reports_truncation(client: httpx.Client) -> None:
    long = client.post("/analyze", json={"text": "good " * 100}).json()
    assert (long["tokens"], long["truncated"]) == (MAX_TOKENS, True)
    refused = client.post("/analyze", json={"texts": ["good", "good " * 100], "truncate": False}).json()
    assert [("error" in result) for result in refused["results"]] == [False, True]
    assert "has 102 tokens" in refused["results"][1]["error"]


def test_health(client: httpx.Client) -> None:
    response = client.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ready"})


def test_info(client: httpx.Client, tiny_bundle: Path) -> None:
    info = client.get("/info").json()
    assert info.pop("version")
    assert info == {
        "model_id": "tiny",
        "model_sha": bundle_id(tiny_bundle),
        "model_dtype": "fp32",
        "model_type": {
            "classifier": {
                "id2label": {str(index): label for index, label in enumerate(LABELS)},
                "label2id": {label: index for index, label in enumerate(LABELS)},
            }
        },
        "max_concurrent_requests": 512,
        "max_input_length": MAX_TOKENS,
        "max_batch_tokens": MAX_TOKENS,
        "max_client_batch_size": MAX_BATCH,
        "auto_truncate": True,
        "family": "logreg",
        "labels": LABELS,
        "device": "cpu",
        "graph": GRAPH,
        "bundle_id": bundle_id(tiny_bundle),
        "metrics": {"macro_f1": 0.9},
    }


REFUSALS: dict[str, tuple[str, Any, list[str]]] = {
    "empty text": ("/analyze", {"text": ""}, ["text is ''", "nothing is left"]),
    "white space": ("/analyze", {"text": " \t\n"}, ["text is ", "nothing is left"]),
    "invisible characters": ("/predict", {"inputs": "\u200b\x00"}, ["inputs is ", "nothing is left"]),
    "one empty text of several": ("/predict", {"inputs": ["good", "", "bad"]}, ["inputs[1] is ''"]),
    "number": ("/analyze", {"text": 5}, ["text is 5", "must be a text"]),
    "null": ("/predict", {"inputs": None}, ["inputs is None", "a text or a list of texts"]),
    "object": ("/predict", {"inputs": {"a": "good"}}, ["inputs is {'a': 'good'}", "a text or a list of texts"]),
    "number among texts": ("/predict", {"inputs": ["good", 5]}, ["inputs[1] is 5", "must be a text"]),
    "pair of texts": ("/predict", {"inputs": [["good", "bad"]]}, ["inputs[0] is ['good', 'bad']", "must be a text"]),
    "list for one text": ("/analyze", {"text": ["good"]}, ["text is ['good']", "must be a text"]),
    "missing text": ("/analyze", {"inputs": "good"}, ["give either text", "or texts"]),
    "text and texts": ("/analyze", {"text": "good", "texts": ["good"]}, ["give either text", "or texts"]),
    "unsure_below out of range": (
        "/analyze",
        {"text": "good", "unsure_below": 2},
        ["unsure_below is 2", "less than or equal to 1"],
    ),
    "unknown side": ("/predict", {"inputs": "good", "truncation_direction": "up"}, ["truncation_direction is 'up'"]),
    "unknown function": (
        "/predict",
        {"inputs": "good", "parameters": {"function_to_apply": "max"}},
        ["function_to_apply is 'max'"],
    ),
    "top_k of 0": ("/predict", {"inputs": "good", "parameters": {"top_k": 0}}, ["parameters.top_k is 0"]),
    "missing inputs": ("/predict", {"text": "good"}, ["field inputs is missing"]),
    "list as body": ("/predict", ["good"], ["must be a JSON object"]),
    "too many texts": (
        "/predict",
        {"inputs": ["good"] * (MAX_BATCH + 1)},
        ["inputs has 257 texts", f"limit is {MAX_BATCH}"],
    ),
    "text too long": (
        "/analyze",
        {"text": "a" * 100_000},
        ["text has 100000 characters", f"limit is {MAX_CHARACTERS}"],
    ),
    "one text of several too long": (
        "/predict",
        {"inputs": ["good", "a" * (MAX_CHARACTERS + 1)]},
        ["inputs[1] has 20001 characters", f"limit is {MAX_CHARACTERS}"],
    ),
}


@pytest.mark.parametrize(("path", "body", "messages"), REFUSALS.values(), ids=REFUSALS.keys())
def test_refusal_names_field_value_and_limit(client: httpx.Client, path: str, body: Any, messages: list[str]) -> None:
    assert_refused(client.post(path, json=body), 422, messages)


def test_no_texts_at_all(client: httpx.Client) -> None:
    response = client.post("/predict", json={"inputs": []})
    assert (response.status_code, response.json()["error_type"]) == (400, "Empty")


UNREADABLE: dict[str, tuple[bytes, dict[str, str], str]] = {
    "cut short": (b'{"text": "good', JSON, "not valid JSON"),
    "not JSON": (b"good", JSON, "not valid JSON"),
    "not UTF-8": (b'{"text": "\xff"}', JSON, "not valid JSON in UTF-8"),
    "nested too deeply": (b"[" * 100_000, JSON, "not valid JSON"),
    "empty": (b"", JSON, "must be a JSON object"),
    "form": (b'{"text": "good"}', {"Content-Type": "application/x-www-form-urlencoded"}, "Content-Type"),
}


@pytest.mark.parametrize(("body", "headers", "message"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_unreadable_body_is_refused(client: httpx.Client, body: bytes, headers: dict[str, str], message: str) -> None:
    assert_refused(client.post("/analyze", content=body, headers=headers), 422, [message])


@pytest.mark.parametrize("path", ["/predict", "/analyze"])
def test_long_body_is_refused(client: httpx.Client, path: str) -> None:
    response = client.post(path, json={"inputs": "a" * 10_000_000})
    assert_refused(response, 413, [f"{MAX_BODY} bytes"])


def test_chunked_body_is_limited_too(client: httpx.Client) -> None:
    pieces = (b"a" * 100_000 for _ in range(30))
    assert_refused(client.post("/predict", content=pieces, headers=JSON), 413, [f"{MAX_BODY} bytes"])


@pytest.mark.parametrize(("method", "path", "code"), [("GET", "/nowhere", 404), ("GET", "/predict", 405)])
def test_other_errors_have_the_same_form(client: httpx.Client, method: str, path: str, code: int) -> None:
    response = client.request(method, path)
    assert response.status_code == code
    assert set(response.json()) == {"error", "error_type"}


def assert_refused(response: httpx.Response, code: int, messages: list[str]) -> None:
    assert response.status_code == code
    body = response.json()
    assert set(body) == {"error", "error_type"}
    assert body["error_type"] == "Validation"
    assert [message for message in messages if message not in body["error"]] == []
    assert "\n" not in body["error"]
    assert len(body["error"]) < 200


def test_values_at_the_limits_are_allowed(client: httpx.Client) -> None:
    longest = "good " * (MAX_CHARACTERS // 5)
    assert labels_of(client.post("/predict", json={"inputs": [longest]}).json()) == ["positive"]
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


def test_server_prints_its_address(server: Server, tiny_bundle: Path) -> None:
    assert server.first_line == f"serving bundle {bundle_id(tiny_bundle)[:12]} on cpu at {server.url}\n"


def test_cascade_is_served_with_its_flag(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    add_cascade(bundle, threshold=0.9)
    with started(tmp_path, "--model", str(bundle), "--cascade") as server:
        assert httpx.get(f"{server.url}/info", trust_env=False).json()["graph"] == CASCADE
        answers = httpx.post(
            f"{server.url}/analyze", json={"texts": ["good great love", "good a video"]}, trust_env=False
        )
    found = [answer["sentiment"] for answer in answers.json()["results"]]
    assert found == [
        prediction.label for prediction in Classifier(bundle, cascade=True).predict(["good great love", "good a video"])
    ]
    assert found != [prediction.label for prediction in Classifier(bundle).predict(["good great love", "good a video"])]


def test_request_id_and_security_headers(client: httpx.Client) -> None:
    headers = client.get("/info", headers={"X-Request-Id": "mine"}).headers
    assert headers["x-request-id"] == "mine"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert len(client.get("/info", headers={"X-Request-Id": "a b"}).headers["x-request-id"]) == 32
    for page in ("/", "/docs", "/playground/style.css"):
        response = client.get(page)
        assert response.status_code == 200
        policy = response.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"} <= set(policy)
    assert client.get("/redoc").status_code == 404  # it would load scripts from a network


def test_log_has_the_request_without_its_text(server: Server, client: httpx.Client) -> None:
    client.post("/analyze", json={"text": "a very secret video"}, headers={"X-Request-Id": "logged"})
    until(lambda: '"logged"' in server.log.read_text(encoding="utf-8"))  # the line comes after the answer
    text = server.log.read_text(encoding="utf-8")
    (line,) = (line for line in map(json.loads, text.splitlines()) if line["request_id"] == "logged")
    assert (line["route"], line["status"], line["texts"], line["tokens"]) == ("/analyze", 200, 1, 6)
    assert set(line["ms"]) == {"tokenization", "queue", "inference", "total"}
    assert "secret" not in text


def test_metrics(client: httpx.Client) -> None:
    before = samples(client)
    for texts in (["good one", "bad one"], ["good one"]):
        client.post("/analyze", json={"texts": texts})
    client.post("/analyze", json={"text": " "})
    after = samples(client)

    def grown(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert grown('commentwise_requests_total{route="/analyze",status="200"}') == 2
    assert grown('commentwise_requests_total{route="/analyze",status="422"}') == 1
    assert grown('commentwise_predictions_total{label="positive"}') == 2
    assert grown('commentwise_predictions_total{label="negative"}') == 1
    assert grown("commentwise_cache_hits_total") == 1
    assert grown("commentwise_cache_misses_total") == 2
    assert grown("commentwise_tokens_total") == 8
    assert grown("commentwise_padding_tokens_total") == 0
    assert grown("te_request_count") == 3
    assert grown("te_request_success") == 2
    assert grown('te_request_failure{err="Validation"}') == 1
    assert grown("te_batch_next_size_count") == 2
    assert grown("te_request_queue_duration_count") == 2
    assert after["te_queue_size"] == 0
    assert after["commentwise_workers"] >= 1


def samples(client: httpx.Client) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    return {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
    }


def test_a_bundle_is_served_with_its_own_normalisation(bundle_copy: Path, client: httpx.Client, tmp_path: Path) -> None:
    write_tiny_manifest(bundle_copy, normalization_version=1)
    body = {"text": "good<br>video"}
    assert client.post("/analyze", json=body).json()["tokens"] == 4
    with started(tmp_path, "--model", str(bundle_copy)) as server:
        assert httpx.post(f"{server.url}/analyze", json=body, trust_env=False).json()["tokens"] == 7

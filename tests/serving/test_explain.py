"""POST /explain: the weights, the limits, and that it neither counts as predictions nor keeps other requests waiting."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text

from commentwise.models.bundle import Classifier, bundle_id
from commentwise.serving.http.inference import EXPLAINED_AT_ONCE
from tests.serving.process import PATIENCE, Server, started
from tests.serving.test_faults import figure
from tests.tiny import LABELS, MAX_TOKENS
from tests.waiting import until

TEXT = "GOOD&nbsp;one 😍 @ana the BAD great"
WORDS = ["GOOD&nbsp;one", "😍", "@ana", "the", "BAD", "great"]
MAX_WORDS = 16


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "log.db"


@pytest.fixture(scope="module")
def server(tiny_bundle: Path, log: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    flags = ["--max-batch", str(MAX_WORDS), "--max-characters", "1000", "--prediction-log", f"sqlite:///{log}"]
    with started(tmp_path_factory.mktemp("server"), "--model", str(tiny_bundle), *flags) as running:
        yield running


def explain(server: Server, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/explain", json=body, headers=headers, timeout=PATIENCE, trust_env=False)


@pytest.mark.parametrize("label", [None, *LABELS])
def test_a_weight_is_the_difference_that_a_word_makes(server: Server, tiny_bundle: Path, label: str | None) -> None:
    answer = explain(server, text=TEXT, label=label).json()
    classifier = Classifier(tiny_bundle)
    (whole,) = classifier.predict([TEXT])
    chosen = label or whole.label
    index = LABELS.index(chosen)
    words = answer.pop("words")
    assert answer == {
        "label": chosen,
        "probability": pytest.approx(whole.probabilities[chosen]),
        "method": "leave-one-out",
        "tokens": whole.tokens,
        "truncated": False,
        "bundle_id": bundle_id(tiny_bundle),
    }
    assert [word["text"] for word in words] == [TEXT[word["start"] : word["end"]] for word in words] == WORDS
    probabilities = classifier.probabilities([TEXT, *(TEXT.replace(word, "", 1) for word in WORDS)])[:, index]
    odds = probabilities / (1 - probabilities)
    for word, left in zip(words, odds[1:], strict=True):
        assert 2.718281828 ** word["weight"] == pytest.approx(odds[0] / left, rel=1e-4)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"text": "good", "label": "spam"}, "label is 'spam': it must be one of negative, neutral, positive"),
        ({"text": "a " * (MAX_WORDS + 1)}, f"text has {MAX_WORDS + 1} words and the limit is {MAX_WORDS}"),
        ({"text": "a" * 1001}, "text has 1001 characters and the limit is 1000"),
        ({"text": "a " * MAX_TOKENS, "truncate": False}, f"text has {MAX_TOKENS + 2} tokens and the model takes 32"),
        ({"text": "\u200b"}, "nothing is left of it"),
        ({"texts": ["good"]}, "the field text is missing"),
    ],
)
def test_refusals_name_value_and_limit(server: Server, body: dict[str, Any], message: str) -> None:
    response = explain(server, **body)
    assert (response.status_code, response.json()["error_type"]) == (422, "Validation")
    assert message in response.json()["error"]


def test_the_only_word_can_be_left_out(server: Server) -> None:
    answer = explain(server, text="good").json()
    assert (answer["label"], len(answer["words"])) == ("positive", 1)
    assert answer["words"][0]["weight"] > 1


def test_an_explanation_is_no_prediction(server: Server, log: Path) -> None:
    names = ("commentwise_predictions_total", "te_request_count")
    before = [figure(server, name) for name in names]
    assert explain(server, text="a very secret video").status_code == 200
    httpx.post(f"{server.url}/analyze", json={"text": "good"}, trust_env=False)
    until(lambda: figure(server, 'commentwise_prediction_log_rows_total{outcome="written"}') >= 1)
    assert [figure(server, name) for name in names] == [count + 1 for count in before]
    with create_engine(f"sqlite:///{log}").connect() as connection:
        assert connection.execute(text("select label from predictions")).all() == [("positive",)]


def test_other_requests_do_not_wait_for_a_whole_explanation(slow_bundle: Path, tmp_path: Path) -> None:
    flags = ["--workers", "1", "--threads", "1", "--cache", "0"]
    words = " ".join(["good", "bad", "video", "love"] * 7)
    with started(tmp_path, "--model", str(slow_bundle), *flags) as server, ThreadPoolExecutor() as pool:
        explaining = pool.submit(explain, server, text=words)
        until(lambda: figure(server, "te_queue_size") > 0)
        assert figure(server, "te_queue_size") <= EXPLAINED_AT_ONCE
        answer = httpx.post(f"{server.url}/analyze", json={"text": "the video"}, timeout=PATIENCE, trust_env=False)
        assert (answer.status_code, explaining.done()) == (200, False)
        assert len(explaining.result().json()["words"]) == 28
        late = explain(server, {"Request-Timeout": "0.2"}, text=words)
        assert (late.status_code, late.json()["error_type"]) == (504, "Timeout")

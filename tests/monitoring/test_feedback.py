"""Feedback over HTTP into real databases, and its export as labelled comments."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from commentwise.models.prediction_log import opened
from commentwise.monitoring.actions.retention import delete_before, describe, forget
from commentwise.monitoring.signals.human_labels import Rating, read_feedback, settle
from commentwise.serving.http.access import main as make_key
from tests.monitoring.postgres import needs_postgres, postgres
from tests.monitoring.test_prediction_log import WRITTEN, analyze
from tests.serving.process import PATIENCE, ROOT, Server, started
from tests.serving.test_faults import figure
from tests.waiting import until


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=needs_postgres)])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("log")
    if request.param == "sqlite":
        yield f"sqlite:///{folder / 'predictions.db'}"
    else:
        with postgres() as database:
            yield database.url


@pytest.fixture(scope="module")
def server(url: str, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    flags = ("--model", str(tiny_bundle), "--prediction-log", url, "--max-characters", "1000")
    with started(tmp_path_factory.mktemp("server"), *flags) as server:
        yield server


def give(server: Server, **body: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/feedback", json=body, timeout=PATIENCE, trust_env=False)


def exported(url: str, folder: Path) -> list[dict[str, Any]]:
    command = [
        sys.executable,
        "-m",
        "commentwise.monitoring.actions.export_feedback",
        "export",
        "out.jsonl",
        "--prediction-log",
        url,
    ]
    subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    return [json.loads(line) for line in (folder / "out.jsonl").read_text(encoding="utf-8").splitlines()]


def test_feedback_on_a_text_becomes_a_labelled_comment(server: Server, url: str, tmp_path: Path) -> None:
    answer = give(server, text="so  bad it is GOOD", label="positive", predicted="negative", source="extension")
    assert (answer.status_code, answer.json()) == (200, {"stored": True})
    (comment,) = [row for row in exported(url, tmp_path) if row["text"] == "so bad it is GOOD"]
    assert comment["label"] == "positive"
    assert comment["provenance"]["predicted"] == "negative"
    assert comment["provenance"]["sources"] == ["extension"]


def test_feedback_on_a_prediction_is_joined_with_it(server: Server, url: str) -> None:
    before = figure(server, WRITTEN)
    answer = analyze(server, texts=["a good video", "a bad video"])
    until(lambda: figure(server, WRITTEN) == before + 2)
    name = f"{answer.headers['x-request-id']}/1"
    assert give(server, prediction_id=name, label="neutral").status_code == 200
    with opened(url) as connection:
        rating = read_feedback(connection)[-1]
    assert (rating.label, rating.predicted, rating.text) == ("neutral", "negative", None)
    assert rating.text_hash is not None


def test_predictions_alone_are_never_labels(server: Server, url: str, tmp_path: Path) -> None:
    analyze(server, text="i love this video")
    assert "i love this video" not in [row["text"] for row in exported(url, tmp_path)]


def test_the_same_id_is_stored_once(server: Server, url: str) -> None:
    name = str(uuid.uuid4())
    assert [give(server, id=name, text="once", label="neutral").json() for _ in range(3)] == [{"stored": True}] * 3
    with opened(url) as connection:
        assert [rating.label for rating in read_feedback(connection) if rating.text == "once"] == ["neutral"]
    other = give(server, id=name, text="once", label="positive")
    assert (other.status_code, "other feedback has it" in other.json()["error"]) == (409, True)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"text": "a", "label": "angry"}, "label is 'angry': the labels are negative, neutral, positive"),
        ({"text": "a", "label": "neutral", "predicted": "x"}, "predicted is 'x'"),
        ({"label": "neutral"}, "either text"),
        ({"text": "a", "prediction_id": "b", "label": "neutral"}, "either text"),
        ({"text": " \u200b ", "label": "neutral"}, "nothing is left"),
        ({"text": "a" * 1001, "label": "neutral"}, "1001 characters"),
        ({"prediction_id": "a b", "label": "neutral"}, "prediction_id is 'a b'"),
        ({"text": "a", "label": "neutral", "id": "7"}, "id is '7'"),
        ({"text": "a", "label": "neutral", "source": "<script>"}, "source is"),
        ({"text": "a", "label": "neutral", "bundle_id": "../x"}, "bundle_id is"),
    ],
)
def test_invalid_feedback_is_refused_with_the_field(server: Server, body: dict[str, Any], words: str) -> None:
    answer = give(server, **body)
    assert answer.status_code == 422
    assert words in answer.json()["error"]


def test_a_body_beyond_the_limit_is_not_read(server: Server) -> None:
    assert give(server, text="a" * 3_000_000, label="neutral").status_code == 413


def test_feedback_requires_an_api_key_whose_owner_is_the_rater(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["access", "ann"])
    make_key()
    key, entry = (line.rpartition(" ")[2] for line in capsys.readouterr().out.splitlines())
    url = f"sqlite:///{tmp_path / 'log.db'}"
    flags = ("--model", str(tiny_bundle), "--prediction-log", url, "--api-keys", entry)
    with started(tmp_path, *flags) as server:
        body = {"text": "fine", "label": "neutral"}
        assert give(server, **body).status_code == 401
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx.post(f"{server.url}/feedback", json=body, headers=headers, trust_env=False).status_code == 200
    with opened(url) as connection:
        assert [rating.rater for rating in read_feedback(connection)] == ["ann"]


def test_without_a_log_feedback_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--model", str(tiny_bundle)) as server:
        answer = give(server, text="a", label="neutral")
    assert (answer.status_code, "--prediction-log" in answer.json()["error"]) == (404, True)


@pytest.mark.slow
def test_without_the_database_feedback_is_a_503_and_predictions_continue(tiny_bundle: Path, tmp_path: Path) -> None:
    nowhere = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    with started(tmp_path, "--model", str(tiny_bundle), "--prediction-log", nowhere) as server:
        answer = give(server, text="a", label="neutral")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert analyze(server, text="good").status_code == 200


def rating(name: str, label: str, rater: str, text: str | None = "a text") -> Rating:
    return Rating(f"{name}-{rater}-{label}", 0.0, name, text, label, rater, "test", "neutral", None)


def test_a_rater_counts_once_with_the_latest_label() -> None:
    settled = settle(
        [rating("1", "negative", "ann")] * 5 + [rating("1", "positive", "bob")] + [rating("1", "positive", "ann")]
    )
    (comment,) = settled.comments
    assert (comment["label"], comment["provenance"]["raters"]) == ("positive", 2)


def test_the_majority_decides_and_a_tie_is_set_aside() -> None:
    three = [rating("1", "negative", "ann"), rating("1", "positive", "bob"), rating("1", "positive", "cid")]
    two = [rating("2", "negative", "ann"), rating("2", "positive", "bob")]
    settled = settle(three + two)
    assert [(comment["label"], comment["provenance"]["agreeing"]) for comment in settled.comments] == [("positive", 2)]
    assert [conflict["votes"] for conflict in settled.conflicts] == [{"negative": 1, "positive": 1}]


def test_comments_without_text_are_counted() -> None:
    settled = settle([rating("1", "negative", "ann", text=None)])
    assert (settled.comments, settled.without_text) == ([], 1)
    assert str(settled) == "0 labelled comments, 1 left out because their text was not logged"


def test_a_comment_is_forgotten_and_old_predictions_are_deleted(tiny_bundle: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    with started(tmp_path, "--model", str(tiny_bundle), "--prediction-log", url, "--log-text") as server:
        answer = analyze(server, text="forget  me")
        analyze(server, text="keep me")
        until(lambda: figure(server, WRITTEN) == 2)
        give(server, prediction_id=answer.headers["x-request-id"], label="neutral")
        give(server, text="forget me", label="neutral")
    with opened(url) as connection:
        assert forget(connection, "forget me") == (1, 2)
        assert describe(connection).startswith("log: 1 predictions from")
        assert delete_before(connection, 0) == 0
        assert delete_before(connection, 1e12) == 1
        assert describe(connection) == "log: 0 predictions; 0 feedback"
    assert b"forget me" not in b"".join(path.read_bytes() for path in tmp_path.glob("log.db*"))

"""Swaps between bundles whose labels differ: each answer comes from one bundle, and other labels need permission."""

import json
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text

from commentwise.models.bundle import Classifier, bundle_id
from tests.serving.process import PATIENCE, Server, started
from tests.serving.test_faults import figure
from tests.serving.test_swap import reload, replace, sentiment
from tests.tiny import LABELS, write_tiny_bundle, write_tiny_manifest
from tests.waiting import until

TEXTS = ["good", "bad", "a video"]
PERMUTED = ["positive", "negative", "neutral"]
SWAPS = 4


def write(folder: Path, labels: list[str], slow: bool = False) -> Path:
    folder.mkdir()
    write_tiny_bundle(folder, slow=slow)
    write_tiny_manifest(folder, labels=labels)
    return folder


@dataclass(frozen=True)
class Expected:
    """The answers of one bundle to TEXTS."""

    bundle_id: str
    labels: list[str]
    probabilities: list[dict[str, float]]

    @classmethod
    def of(cls, folder: Path) -> "Expected":
        predictions = Classifier(folder).predict(TEXTS)
        return cls(
            bundle_id(folder), [each.label for each in predictions], [each.probabilities for each in predictions]
        )


Matches = Callable[[Any, Expected], bool]
"""Whether a whole response is the answer of one bundle."""


def analyze_matches(body: Any, expected: Expected) -> bool:
    return bool(body["sentiment"] == expected.labels[0] and body["probabilities"] == expected.probabilities[0])


def several_match(body: Any, expected: Expected) -> bool:
    results = body["results"]
    return bool(
        body["bundle_id"] == expected.bundle_id
        and [result["sentiment"] for result in results] == expected.labels
        and [result["probabilities"] for result in results] == expected.probabilities
    )


def scores_match(body: Any, expected: Expected) -> bool:
    return [{score["label"]: score["score"] for score in scores} for scores in body] == expected.probabilities


def mlflow_matches(body: Any, expected: Expected) -> bool:
    predictions = body["predictions"]
    return [each["label"] for each in predictions] == expected.labels and [
        each["probabilities"] for each in predictions
    ] == expected.probabilities


def tensors_match(body: Any, expected: Expected) -> bool:
    labels, probabilities = (output["data"] for output in body["outputs"])
    return bool(
        body["model_version"] == expected.bundle_id[:12]
        and labels == expected.labels
        and probabilities == [share for shares in expected.probabilities for share in shares.values()]
    )


TENSOR = {"inputs": [{"name": "text", "shape": [len(TEXTS)], "datatype": "BYTES", "data": TEXTS}]}
FORMATS: dict[str, tuple[str, Any, Matches]] = {
    "analyze one": ("/analyze", {"text": TEXTS[0]}, analyze_matches),
    "analyze several": ("/analyze", {"texts": TEXTS}, several_match),
    "Text Embeddings Inference": ("/predict", {"inputs": TEXTS}, scores_match),
    "Hugging Face": ("/", {"inputs": TEXTS, "parameters": {}}, scores_match),
    "MLflow": ("/invocations", {"inputs": TEXTS}, mlflow_matches),
    "Open Inference Protocol": ("/v2/models/commentwise/infer", TENSOR, tensors_match),
}


def test_every_answer_comes_from_one_bundle_while_bundles_are_swapped(tmp_path: Path) -> None:
    """Comments take a tenth of a second, so that each swap meets requests of every format."""
    folders = [write(tmp_path / "one", LABELS, slow=True), write(tmp_path / "other", PERMUTED, slow=True)]
    bundles = [Expected.of(folder) for folder in folders]
    model = tmp_path / "model"
    shutil.copytree(folders[0], model)
    url = f"sqlite:///{tmp_path / 'predictions.db'}"
    flags = ["--cache", "0", "--allow-label-change", "--prediction-log", url, "--timeout", str(PATIENCE)]
    ended = threading.Event()
    with started(tmp_path, "--model", str(model), *flags) as server:
        # A client that pins the first version gets its answers, or is told that it is gone.
        pinned = f"/v2/models/commentwise/versions/{bundles[0].bundle_id[:12]}/infer"
        formats = FORMATS | {"pinned version": (pinned, TENSOR, tensors_match)}

        answers: dict[str, list[list[bool]]] = {name: [] for name in formats}

        def load(name: str, path: str, body: Any, matches: Matches) -> None:
            with httpx.Client(base_url=server.url, timeout=PATIENCE, trust_env=False) as client:
                while not ended.is_set():
                    response = client.post(path, json=body)
                    if path == pinned and response.status_code == 404:
                        continue
                    assert response.status_code == 200, response.text
                    answers[name].append([matches(response.json(), expected) for expected in bundles])

        def all_answered_again(before: dict[str, int]) -> bool:
            """Each format has an answer to a request that was sent since; the first one may have been on its way."""
            return all(len(answers[name]) > before[name] + 1 for name in FORMATS)

        with ThreadPoolExecutor(len(formats)) as pool:
            try:
                loads = [pool.submit(load, name, *how) for name, how in formats.items()]
                for number in range(1, SWAPS + 1):
                    replace(model, shutil.copytree(folders[number % 2], tmp_path / "next"))
                    assert reload(server).json() == {"swapped": True, "bundle_id": bundles[number % 2].bundle_id}
                    before = {name: len(found) for name, found in answers.items()}
                    until(partial(all_answered_again, before))
            finally:
                ended.set()
        for each in loads:
            each.result()
    for name, matching in answers.items():
        assert [each for each in matching if sum(each) != 1] == [], name
        assert {tuple(each) for each in matching} == (
            {(True, False)} if name == "pinned version" else {(True, False), (False, True)}
        )
    assert_log_is_consistent(url, bundles, sum(map(len, answers.values())))


def assert_log_is_consistent(url: str, bundles: list[Expected], requests: int) -> None:
    """Each row has the label that its bundle gives to one of the texts, with that text's probabilities."""
    with create_engine(url).connect() as connection:
        rows = connection.execute(text("select bundle_id, label, json(probabilities) as shares from predictions")).all()
    assert len(rows) >= requests
    known = {
        (bundle.bundle_id, label, tuple((name, round(share, 6)) for name, share in shares.items()))
        for bundle in bundles
        for label, shares in zip(bundle.labels, bundle.probabilities, strict=True)
    }
    logged = {(row.bundle_id, row.label, tuple(json.loads(row.shares).items())) for row in rows}
    assert logged == known


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "model", LABELS)


@pytest.mark.parametrize("labels", [PERMUTED, ["bad", "so-so", "good"]], ids=["another order", "other names"])
def test_bundle_with_other_labels_is_refused(model: Path, tmp_path: Path, labels: list[str]) -> None:
    before = bundle_id(model)
    with started(tmp_path, "--model", str(model)) as server:
        replace(model, write(tmp_path / "next", labels))
        refused = reload(server)
        assert refused.status_code == 424
        assert refused.json()["error"].startswith(
            f"the running bundle stays: the bundle {model} has the labels {', '.join(labels)} and the running one has "
            "negative, neutral, positive: "
        )
        assert "--allow-label-change" in refused.json()["error"]
        assert_refusal_is_counted_and_logged(server)
        assert sentiment(server) == "positive"
        assert httpx.get(f"{server.url}/info", trust_env=False).json()["bundle_id"] == before


def assert_refusal_is_counted_and_logged(server: Server) -> None:
    assert figure(server, 'commentwise_bundle_loads_total{outcome="failed"}') == 1
    assert figure(server, 'commentwise_bundle_loads_total{outcome="loaded"}') == 0
    (line,) = (line for line in server.log.read_text().splitlines() if '"bundle refused"' in line)
    assert "has the labels" in line


def test_polling_refuses_other_labels_too_and_takes_the_next_bundle(model: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--model", str(model), "--poll", "0.1") as server:
        replace(model, write(tmp_path / "next", PERMUTED))
        until(lambda: figure(server, 'commentwise_bundle_loads_total{outcome="failed"}') > 1)
        assert httpx.get(f"{server.url}/info", trust_env=False).json()["labels"] == LABELS
        (tmp_path / "next").mkdir()
        write_tiny_bundle(tmp_path / "next", -6.0)
        replace(model, tmp_path / "next")
        until(lambda: sentiment(server) == "neutral")


def test_shadow_is_not_compared_with_a_bundle_of_other_labels(model: Path, tmp_path: Path) -> None:
    shadow = write(tmp_path / "shadow", LABELS)
    flags = ["--shadow", str(shadow), "--shadow-share", "1", "--allow-label-change", "--cache", "0"]
    with started(tmp_path, "--model", str(model), *flags) as server:
        until(lambda: '"shadow loaded"' in server.log.read_text())
        assert sentiment(server) == "positive"
        until(lambda: figure(server, "commentwise_shadow_comments_total") == 1)
        replace(model, write(tmp_path / "next", ["bad", "so-so", "good"]))
        assert reload(server).json()["swapped"] is True
        assert sentiment(server) == "good"
        replace(model, write(tmp_path / "back", LABELS))
        assert reload(server).json()["swapped"] is True
        assert sentiment(server) == "positive"
        until(lambda: figure(server, "commentwise_shadow_comments_total") >= 2)
        assert figure(server, "commentwise_shadow_comments_total") == 2

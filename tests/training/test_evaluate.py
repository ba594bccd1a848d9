"""Evaluation of a synthetic candidate: scores, intervals, temperature, and the tables of the plots."""

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from commentwise.errors import CommentwiseError
from commentwise.fileio import read_json
from commentwise.models.probabilities import softmax
from commentwise.training.candidate import Part, write_results
from commentwise.training.choice import evaluate as stage
from commentwise.training.choice.evaluate import evaluate
from commentwise.training.params import write_params
from commentwise.training.project import Project
from commentwise.training.scores import Logits, Targets
from tests.training.conftest import params, settings

LABELS = ["negative", "neutral", "positive"]
HISTORY = [{"step": 10, "loss": 0.9, "lr": 1e-4}, {"step": 20, "epoch": 1, "validation_macro_f1": 0.5}]
PROJECT = Project()
FOLDER = PROJECT.candidate("logreg")
EVALUATION = PROJECT.evaluation


def overconfident(rows: int, seed: int) -> tuple[Targets, Logits]:
    """Targets drawn from calibrated probabilities, and logits three times too large."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1, (rows, 3))
    targets = (softmax(logits).cumsum(axis=1) > rng.random((rows, 1))).argmax(axis=1)
    return targets, 3 * logits


def write_candidate(shift_test_labels: int = 0) -> None:
    """Write a candidate in the current folder, with the index of every test label shifted cyclically."""
    parts, logits = {}, {}
    for seed, (name, rows) in enumerate([("validation", 600), ("test", 400)]):
        targets, logits[name] = overconfident(rows, seed)
        if name == "test":
            targets = (targets + shift_test_labels) % 3
        table = pd.DataFrame({"comment_id": [f"{name}{row}" for row in range(rows)], "text": "any"})
        table["language"] = ["en"] * (rows - 130) + ["hi"] * 101 + ["de"] * 29
        parts[name] = Part(table.assign(label=[LABELS[number] for number in targets]), LABELS)
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_results(FOLDER, parts, logits, {"family": "logreg"}, HISTORY)


def evaluated(**changes: Any) -> dict[str, Any]:
    return evaluate(PROJECT, "logreg", settings(evaluate__resamples=200, **changes))


def rows_of(name: str) -> list[dict[str, str]]:
    with (EVALUATION / "logreg" / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_metrics_contain_every_score_with_its_interval(work: Path) -> None:
    write_candidate()
    metrics = evaluated()
    assert read_json(EVALUATION / "logreg" / "metrics.json") == metrics
    assert list(metrics) == ["temperature", "validation", "test"]
    for part, rows in (("validation", 600), ("test", 400)):
        facts = metrics[part]
        assert facts["comments"] == np.sum(facts["confusion"]) == rows
        assert list(facts["scores"]) == ["accuracy", "macro_f1", "macro_recall", "mae", "quadratic_kappa"]
        assert all(score["low"] < score["value"] < score["high"] for score in facts["scores"].values())
        assert facts["scores"]["accuracy"]["value"] == pytest.approx(np.trace(facts["confusion"]) / rows)
        assert list(facts["labels"]) == LABELS
        assert [label["comments"] for label in facts["labels"].values()] == np.sum(facts["confusion"], axis=1).tolist()
        f1 = [label["f1"] for label in facts["labels"].values()]
        assert facts["scores"]["macro_f1"]["value"] == pytest.approx(np.mean(f1))


def test_labels_without_an_order_have_no_ordinal_scores(work: Path) -> None:
    write_candidate()
    ordinal = evaluated()["test"]["scores"]
    assert evaluated(ordinal=True)["test"]["scores"] == ordinal
    assert list(evaluated(ordinal=False)["test"]["scores"]) == ["accuracy", "macro_f1", "macro_recall"]
    counts = np.array(evaluated()["test"]["confusion"])
    distances = np.abs(np.subtract.outer(range(3), range(3)))
    assert ordinal["mae"]["value"] == pytest.approx((counts * distances).sum() / 400)


def test_languages_with_enough_comments_have_their_own_scores(work: Path) -> None:
    write_candidate()
    for part, rows in (("validation", 600), ("test", 400)):
        languages = evaluated()[part]["languages"]
        assert {name: facts["comments"] for name, facts in languages.items()} == {"en": rows - 130, "hi": 101}
        right = pd.read_parquet(FOLDER / f"{part}.parquet")[-130:-29]
        predicted = right[[f"logit_{label}" for label in LABELS]].to_numpy().argmax(axis=1)
        accuracy = languages["hi"]["scores"]["accuracy"]
        assert accuracy["value"] == pytest.approx(np.mean([LABELS[number] for number in predicted] == right["label"]))
        assert accuracy["low"] < accuracy["value"] < accuracy["high"]


def test_candidates_without_languages_are_evaluated(work: Path) -> None:
    write_candidate()
    for part in ("validation", "test"):
        pd.read_parquet(FOLDER / f"{part}.parquet").drop(columns="language").to_parquet(FOLDER / f"{part}.parquet")
    assert evaluated()["test"]["languages"] == {}


def test_the_candidates_own_scores_equal_the_evaluations(work: Path) -> None:
    write_candidate()
    metrics = evaluated()
    for part in ("validation", "test"):
        assert read_json(FOLDER / "metrics.json")[f"{part}_macro_f1"] == metrics[part]["scores"]["macro_f1"]["value"]


def test_the_temperature_depends_on_the_validation_part_only(work: Path) -> None:
    write_candidate()
    first = evaluated()
    assert first["temperature"] == pytest.approx(3, rel=0.15)
    assert first["test"]["ece_calibrated"] < 0.08 < first["test"]["ece"]
    write_candidate(shift_test_labels=1)
    second = evaluated()
    assert second["temperature"] == first["temperature"]
    assert second["validation"] == first["validation"]
    assert second["test"] != first["test"]


def test_the_seed_determines_the_intervals(work: Path) -> None:
    write_candidate()
    assert evaluated(seed=1) == evaluated(seed=1)
    assert evaluated(seed=1) != evaluated(seed=2)


def test_the_tables_of_the_plots(work: Path) -> None:
    write_candidate()
    metrics = evaluated(evaluate__bins=5)
    confusion = pd.DataFrame(rows_of("confusion.csv"))
    counts = pd.crosstab(confusion["actual"], confusion["predicted"]).reindex(index=LABELS, columns=LABELS)
    assert counts.to_numpy().tolist() == metrics["test"]["confusion"]
    bins = rows_of("reliability.csv")
    assert sum(int(row["comments"]) for row in bins) == 400
    gaps = [int(row["comments"]) * abs(float(row["accuracy"]) - float(row["confidence"])) for row in bins]
    assert sum(gaps) / 400 == pytest.approx(metrics["test"]["ece_calibrated"])
    assert rows_of("learning.csv") == [
        {"step": "10", "loss": "0.9", "lr": "0.0001", "epoch": "", "validation_macro_f1": ""},
        {"step": "20", "loss": "", "lr": "", "epoch": "1", "validation_macro_f1": "0.5"},
    ]


def test_the_command_prints_the_test_score(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_candidate()
    write_params(params(evaluate__resamples=200), work / "params.yaml")
    monkeypatch.setattr(sys, "argv", ["evaluate", "logreg"])
    stage.main()
    score = evaluated()["test"]["scores"]["macro_f1"]
    printed = capsys.readouterr().out
    assert f"test macro-F1 {score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f}), temperature " in printed


def test_a_missing_candidate_is_an_error_with_the_stage_to_run(work: Path) -> None:
    with pytest.raises(CommentwiseError, match=r"logreg/validation\.parquet is missing: run `dvc repro train@logreg`"):
        evaluated()

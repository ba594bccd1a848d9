"""Export: which variants may replace fp32, the reasons why others may not, and the bundles of an encoder and an SVM."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from commentwise.errors import CommentwiseError
from commentwise.models.bundle import Classifier
from commentwise.training.candidate import read_part, read_predictions
from commentwise.training.choice import evaluate, export
from commentwise.training.choice.export import Variant, choose_graphs
from commentwise.training.choice.first_stage import Cascade
from commentwise.training.choice.parity import compare
from commentwise.training.families import catalog
from commentwise.training.families.family import Graphs
from commentwise.training.project import Project
from commentwise.training.settings import Settings
from commentwise.training.train import read_task
from tests.training.conftest import WORDS, make_part, settings, write_parts

LIMITS = settings().export
PROJECT = Project()


def probabilities(rows: list[list[float]]) -> np.ndarray:
    return np.array(rows, dtype=np.float64)


REFERENCE = probabilities([[0.9, 0.1], [0.2, 0.8]] * 100)
TARGETS = np.array([0, 1] * 100)
EVERY_ROW = np.arange(200)


def one_row(change: list[float]) -> np.ndarray:
    changed = REFERENCE.copy()
    changed[0] = change
    return changed


@pytest.mark.parametrize(
    ("alone", "in_batch", "failures"),
    [
        (REFERENCE, REFERENCE, []),
        (one_row([0.8, 0.2]), one_row([0.81, 0.19]), []),
        (
            np.repeat(one_row([0.4, 0.6])[:1], 200, axis=0),
            None,
            ["it loses 66.67 points of macro-F1 (at most 0.5)", "it gives 50.00% of fp32's labels (at least 98.5%)"],
        ),
        (REFERENCE, one_row([0.85, 0.15]), ["neighbours move a probability by 0.050 (at most 0.02)"]),
        (one_row([0.505, 0.495]), one_row([0.495, 0.505]), ["1 labels depend on the comment's neighbours"]),
    ],
    ids=["identical", "within limits", "worse", "probability depends on batch", "label depends on batch"],
)
def test_every_exceeded_limit_is_reported(alone: np.ndarray, in_batch: np.ndarray | None, failures: list[str]) -> None:
    parity = compare(alone, alone if in_batch is None else in_batch, EVERY_ROW, REFERENCE, TARGETS)
    assert parity.failures(LIMITS) == failures


def train(name: str, chosen: Settings, out: Path) -> None:
    family = catalog.families()[name]
    family.train(read_task(PROJECT, chosen), chosen.of(family), out)


def make_winner(family: str, chosen: Settings) -> None:
    write_parts(WORDS, train=1200 if family == "bert" else 240)
    out = Path("artifacts/candidates") / family
    for name in ("logreg", "svm", "bert") if family == "bert" else (family,):
        train(name, chosen, PROJECT.candidate(name))
        evaluate.evaluate(PROJECT, name, chosen)
    shutil.copytree(out, "artifacts/winner")
    shutil.copyfile(f"artifacts/evaluation/{family}/metrics.json", "artifacts/winner/evaluation.json")
    Path("data/raw").mkdir()
    make_part(9, WORDS).to_parquet("data/raw/comments.parquet", index=False)


def run_export(chosen: Settings) -> dict[str, Any]:
    Path("artifacts/bundle").mkdir(exist_ok=True)
    return export.export(PROJECT, chosen, PROJECT.winner, PROJECT.bundle)


def bert_settings(checkpoint: Path, **changes: Any) -> Settings:
    options = {
        "families__bert__checkpoint": str(checkpoint),
        "families__bert__epochs": 12,
        "families__bert__learning_rate": 2e-3,
        "families__bert__step_tokens": 200,
        "families__bert__precision": "fp32",
    }
    return settings(**options, **changes)


def test_the_bundle_of_an_encoder_has_the_fastest_graph_fp32_fp16_and_a_cascade(work: Path, checkpoint: Path) -> None:
    # A random encoder of 32 dimensions does not meet the real limits, so these allow everything.
    limits = {"max_f1_loss": 1.0, "min_agreement": 0.0, "max_shift": 1.0}
    chosen = bert_settings(checkpoint, export=limits)
    make_winner("bert", chosen)
    report = run_export(chosen)
    measured = {variant["file"]: variant for variant in report["variants"]}
    assert set(measured) == {
        "fp32.onnx",
        "fp32-optimised.onnx",
        "int8.onnx",
        "int8-optimised.onnx",
        "int8-smoothed.onnx",
        "fp16.onnx",
        "cascade.onnx",
    }
    candidates = [v for v in measured.values() if v["comments_per_second"] and "cascade" not in v]
    fastest = max(candidates, key=lambda v: v["comments_per_second"])
    assert report["devices"] == {"cpu": fastest["file"], "cuda": "fp16.onnx"}
    kept = {path.name for path in Path("artifacts/bundle").glob("*.onnx")}
    assert kept == {"fp32.onnx", "fp16.onnx", "cascade.onnx", fastest["file"]}
    assert report["torch_fp32_comments_per_second"] > 0
    predicted = Classifier(Path("artifacts/bundle")).probabilities(
        read_part(PROJECT.prepared, "test", chosen.labels).texts
    )
    assert (
        predicted.argmax(axis=1) == read_predictions(PROJECT.candidate("bert"), "test", chosen.labels).predicted
    ).mean() > 0.9
    cascade = Classifier(Path("artifacts/bundle"), cascade=True)
    assert cascade.graph == "cascade.onnx"
    choice = cascade.manifest.files["cascade.onnx"]["cascade"]
    assert choice["f1_loss"] + choice["standard_error"] <= limits["max_f1_loss"]


def variant(
    file: str, precision: str, speed: float | None, again: np.ndarray = REFERENCE, wrong: bool = False
) -> Variant:
    predicted = REFERENCE[:, ::-1] if wrong else REFERENCE
    return Variant(file, precision, compare(predicted, again, EVERY_ROW, REFERENCE, TARGETS), {}, speed, 1)


def test_a_cascade_may_differ_from_fp32_but_not_lose_macro_f1() -> None:
    choice = Cascade("svm", 1.0, 0.8, 0.5, 0.001, 0.001)
    other = REFERENCE.copy()
    other[:10] = 0.5 + np.array([[-0.1, 0.1], [0.1, -0.1]] * 5)  # ten labels change
    differs = compare(other, other, EVERY_ROW, REFERENCE, np.where(EVERY_ROW < 10, 1 - TARGETS, TARGETS))
    measured = Variant("cascade.onnx", "int8", differs, {}, 9, 1, choice)
    assert differs.failures(LIMITS) == ["it gives 95.00% of fp32's labels (at least 98.5%)"]
    assert measured.failures(LIMITS) == []
    wrong = Variant("cascade.onnx", "int8", compare(other, other, EVERY_ROW, REFERENCE, TARGETS), {}, 9, 1, choice)
    assert wrong.failures(LIMITS) == ["it loses 5.00 points of macro-F1 (at most 0.5)"]


SHIFTED = one_row([0.8, 0.2])


@pytest.mark.parametrize(
    ("int8", "fp16", "devices"),
    [
        (variant("int8.onnx", "int8", 9), variant("fp16.onnx", "fp16", None), ("int8.onnx", "fp16.onnx")),
        (
            variant("int8.onnx", "int8", 9, wrong=True),
            variant("fp16.onnx", "fp16", None, wrong=True),
            ("fp32.onnx", "fp32.onnx"),
        ),
        (variant("int8.onnx", "int8", 1), variant("fp16.onnx", "fp16", None), ("fp32.onnx", "fp16.onnx")),
        (
            variant("int8.onnx", "int8", 9, again=SHIFTED),
            variant("fp16.onnx", "fp16", None, again=SHIFTED),
            ("fp32.onnx", "fp32.onnx"),
        ),
    ],
    ids=["both pass", "both are wrong", "int8 is slow", "depend on batch"],
)
def test_each_device_gets_the_fastest_graph_within_the_limits(
    int8: Variant, fp16: Variant, devices: tuple[str, str]
) -> None:
    graphs = choose_graphs([variant("fp32.onnx", "fp32", 4), int8, fp16], LIMITS)
    assert (graphs["cpu"], graphs["cuda"]) == devices


def pad(path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_padding(length=128)
    tokenizer.save(str(path))


def test_the_bundle_of_a_linear_winner_has_its_graph(work: Path, checkpoint: Path) -> None:
    chosen = settings(families__bert__checkpoint=str(checkpoint))
    make_winner("svm", chosen)
    pad(Path("artifacts/winner/tokenizer.json"))  # as candidates of earlier versions do
    report = run_export(chosen)
    assert json.loads(Path("artifacts/bundle/tokenizer.json").read_text(encoding="utf-8"))["padding"] is None
    assert report["devices"] == {"cpu": "fp32.onnx", "cuda": "fp32.onnx"}
    manifest = json.loads(Path("artifacts/bundle/manifest.json").read_text(encoding="utf-8"))
    assert manifest["family"] == "svm"
    assert manifest["params"]["seed"] == 42
    assert manifest["data"]["rows"] == {"train": 240, "validation": 60, "test": 60}


def test_a_graph_that_differs_from_training_is_an_error(work: Path, checkpoint: Path) -> None:
    chosen = settings(families__bert__checkpoint=str(checkpoint))
    make_winner("svm", chosen)
    other = settings(families__bert__checkpoint=str(checkpoint), families__svm__C=[0.001])
    train("svm", other, Path("other"))
    shutil.copyfile("other/model.onnx", "artifacts/winner/model.onnx")
    with pytest.raises(CommentwiseError, match="from those measured in training"):
        run_export(chosen)


def test_a_variant_that_cannot_be_used_is_dropped_and_the_bundle_is_exported(
    work: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(families__bert__checkpoint=str(checkpoint))
    make_winner("svm", chosen)
    svm = catalog.families()["svm"]
    written = svm.write_graphs

    def write_graphs(candidate: Path, folder: Path, calibration: Any) -> Graphs:
        graphs = written(candidate, folder, calibration)
        (folder / "int8.onnx").write_bytes(b"no graph")
        (folder / "fp16.onnx").write_bytes(b"half of")
        (folder / "fp16-inferred.onnx").write_bytes(b"left by a tool")
        return Graphs(graphs.precisions | {"int8.onnx": "int8"}, {"fp16.onnx": "no such operator"})

    monkeypatch.setattr(svm, "write_graphs", write_graphs)
    report = run_export(chosen)
    assert report["devices"] == {"cpu": "fp32.onnx", "cuda": "fp32.onnx"}
    assert report["dropped"]["fp16.onnx"] == "no such operator"
    assert "int8.onnx is not a loadable ONNX model" in report["dropped"]["int8.onnx"]
    assert "int8.onnx is not a loadable ONNX model" in report["int8_refused_because"][0]
    kept = {path.name for path in PROJECT.bundle.iterdir()}
    assert kept == {"fp32.onnx", "tokenizer.json", "golden.json", "manifest.json"}
    Classifier(PROJECT.bundle)

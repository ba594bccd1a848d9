"""Each family learns separable labels, writes a complete candidate folder, and reports problems of its input."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import psutil
import pytest
from safetensors.torch import load_file, save_file

from commentwise.errors import CommentwiseError
from commentwise.models.encoders.loading import load_encoder
from commentwise.models.engine import Engine
from commentwise.models.graphs.parts import LinearParts
from commentwise.models.probabilities import softmax
from commentwise.models.tokens import encode, load_tokenizer
from commentwise.training.candidate import read_history, read_metrics, read_predictions
from commentwise.training.families import catalog
from commentwise.training.params import change_params
from commentwise.training.project import Project
from commentwise.training.provenance import folder_md5
from commentwise.training.settings import Settings
from commentwise.training.train import read_task
from tests.training.conftest import TWENTY, TWO, WORDS, settings, write_parts

ROOT = Path(__file__).parents[2]
FILES = {"tokenizer.json", "validation.parquet", "test.parquet", "metrics.json", "history.jsonl"}


def small(checkpoint: Path, **changes: object) -> Settings:
    defaults = {
        "families__bert__checkpoint": str(checkpoint),
        "families__bert__epochs": 4,
        "families__bert__learning_rate": 5e-3,
        "families__bert__step_tokens": 200,
        "families__bert__precision": "fp32",
    }
    return settings(**{**defaults, **changes})


def train(family: str, chosen: Settings, out: Path) -> dict[str, Any]:
    instance = catalog.families()[family]
    return instance.train(read_task(Project(), chosen), chosen.of(instance), out)


@pytest.mark.parametrize("family", ["logreg", "svm"])
@pytest.mark.parametrize("labels", [TWO, WORDS, TWENTY], ids=["2", "3", "20"])
def test_a_linear_family_learns_any_label_set(
    work: Path, checkpoint: Path, family: str, labels: dict[str, list[str]]
) -> None:
    write_parts(labels)
    out = Path("artifacts/candidates") / family
    chosen = small(checkpoint, labels=list(labels), families__logreg__folds=3, families__svm__folds=3)
    facts = train(family, chosen, out)
    assert facts["test_macro_f1"] > 0.9
    assert {path.name for path in out.iterdir()} == FILES | {"model.onnx"}
    predictions = read_predictions(out, "test", list(labels))
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, atol=1e-6)
    # The predictions come from the graph that would be served.
    texts = pd.read_parquet("data/prepared/test.parquet")["text"].tolist()
    with Engine(out / "model.onnx") as engine:
        rows = encode(load_tokenizer(out / "tokenizer.json", chosen.max_tokens), texts)
        np.testing.assert_allclose(softmax(engine.logits(rows)), predictions.probabilities, atol=1e-6)
        # The graph is linear in its features, so that explanations are exact.
        linear = LinearParts.of(out / "model.onnx")
        assert linear
        for row in rows[:20]:
            parts, bias = linear.parts(row, [[position] for position in range(1, len(row) - 1)])
            np.testing.assert_allclose(parts.sum(axis=0) + bias, engine.logits([row])[0], atol=1e-5)


def test_training_a_linear_family_twice_gives_the_same_files(work: Path, checkpoint: Path) -> None:
    write_parts(WORDS)
    for name in ("one", "two"):
        train("svm", small(checkpoint), Path(name))
    for file in ("model.onnx", "test.parquet"):
        assert Path("one", file).read_bytes() == Path("two", file).read_bytes()


def test_characters_can_be_left_out(work: Path, checkpoint: Path) -> None:
    write_parts(WORDS)
    quick = {"families__svm__folds": 2, "families__svm__C": [0.1]}
    facts, graphs = [], []
    for characters in (0, 1, 5):
        facts.append(train("svm", small(checkpoint, **quick, families__svm__characters=characters), Path("out")))
        graphs.append(onnx.load("out/model.onnx").graph)
    counters = [[node for node in graph.node if node.op_type == "TfIdfVectorizer"] for graph in graphs]
    assert [len(nodes) for nodes in counters] == [1, 2, 2]
    assert max(attribute.i for attribute in counters[2][1].attribute if attribute.name == "max_gram_length") == 5
    for costs in ("operations", "parameters"):
        assert facts[0][costs] < facts[1][costs] < facts[2][costs]
    assert facts[0]["operations"] == (32 + 31) * len(WORDS)
    with pytest.raises(CommentwiseError, match=r"families\.svm\.characters_min_df = 5000: no n-gram"):
        train("svm", small(checkpoint, **quick, families__svm__characters_min_df=5000), Path("none"))


@pytest.mark.parametrize("labels", [TWO, WORDS, TWENTY], ids=["2", "3", "20"])
@pytest.mark.slow
def test_bert_learns_any_label_set(work: Path, checkpoint: Path, labels: dict[str, list[str]]) -> None:
    write_parts(labels, train=1200)
    out = Path("artifacts/candidates/bert")
    facts = train(
        "bert",
        small(checkpoint, labels=list(labels), families__bert__learning_rate=2e-3, families__bert__epochs=12),
        out,
    )
    assert facts["test_macro_f1"] > 0.6
    assert {path.name for path in out.iterdir()} == FILES | {"model"}
    config = json.loads((out / "model/config.json").read_text(encoding="utf-8"))
    assert [config["id2label"][str(number)] for number in range(len(labels))] == list(labels)


def test_a_trained_encoder_can_be_used_as_a_checkpoint(work: Path, checkpoint: Path) -> None:
    write_parts(WORDS)
    first = train(
        "bert", small(checkpoint, families__bert__learning_rate=2e-3, families__bert__epochs=12), Path("first")
    )
    again = small(Path("first/model"), families__bert__epochs=1, families__bert__learning_rate=1e-6)
    second = train("bert", again, Path("second"))
    assert second["test_macro_f1"] == pytest.approx(first["test_macro_f1"])
    assert second["checkpoint_md5"] == folder_md5(Path("first/model")) != first["checkpoint_md5"]


def test_the_best_epoch_is_kept(work: Path, checkpoint: Path) -> None:
    write_parts(WORDS)
    facts = train("bert", small(checkpoint), Path("artifacts/candidates/bert"))
    scores = {
        row["epoch"]: row["validation_macro_f1"]
        for row in read_history(Path("artifacts/candidates/bert"))
        if "validation_macro_f1" in row
    }
    assert len(scores) == 4
    assert scores[read_metrics(Path("artifacts/candidates/bert"))["chosen"]["epoch"]] == max(scores.values())
    assert facts["validation_macro_f1"] == pytest.approx(max(scores.values()))


def test_the_seed_determines_the_weights(work: Path, checkpoint: Path) -> None:
    write_parts(WORDS)
    weights = {}
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        train("bert", small(checkpoint, seed=seed, families__bert__epochs=1), Path(name))
        weights[name] = Path(name, "model/model.safetensors").read_bytes()
    assert weights["one"] == weights["again"] != weights["other"]


def test_class_weights_raise_the_probability_of_a_rare_label(work: Path, checkpoint: Path) -> None:
    write_parts(WORDS)
    table = pd.read_parquet("data/prepared/train.parquet")
    rare = table["label"] == "negative"
    pd.concat([table[~rare], table[rare].head(8)]).to_parquet("data/prepared/train.parquet", index=False)
    rare_probability = {}
    for weighted in (False, True):
        train(
            "bert",
            small(checkpoint, families__bert__class_weights=float(weighted), families__bert__epochs=2),
            Path("artifacts/candidates/bert"),
        )
        rare_probability[weighted] = (
            read_predictions(Path("artifacts/candidates/bert"), "test", list(WORDS)).probabilities[:, 0].mean()
        )
    assert rare_probability[True] > 1.25 * rare_probability[False]


def test_a_loss_that_is_not_finite_is_an_error_with_step_and_learning_rate(work: Path, checkpoint: Path) -> None:
    write_parts(WORDS)
    with pytest.raises(
        CommentwiseError,
        match=r"the loss is nan at step 2 \(learning rate .*; comments c.* and \d+ more\): lower families.bert.learning_rate",
    ):
        train("bert", small(checkpoint, families__bert__learning_rate=1e30, families__bert__warmup=0), Path("out"))
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").write_text("{}"), "no encoder to classify with"),
        (lambda folder: os.truncate(folder / "model.safetensors", 1000), "no encoder to classify with"),
        (lambda folder: make_damaged_bin(folder), "no encoder to classify with"),
        (lambda folder: drop_weights(folder / "model.safetensors", "attention"), "lack weights for bert.encoder"),
    ],
    ids=["empty config", "cut weights", "damaged .bin", "missing weights"],
)
def test_a_damaged_checkpoint_is_refused(
    work: Path, checkpoint: Path, damage: Callable[[Path], object], message: str
) -> None:
    damaged = shutil.copytree(checkpoint, work / "damaged")
    damage(damaged)
    with pytest.raises(CommentwiseError, match=message):
        load_encoder(damaged, list(WORDS))


def test_max_tokens_beyond_the_positions_of_the_checkpoint_stop_training_before_it_starts(
    work: Path, checkpoint: Path
) -> None:
    write_parts(WORDS)
    with pytest.raises(CommentwiseError, match=r"max_tokens = 130: .* has positions for 128 tokens; set max_tokens"):
        train("bert", small(checkpoint, max_tokens=130), Path("out"))
    assert not Path("out").exists()
    assert not Path("build").exists()


def make_damaged_bin(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")


def drop_weights(path: Path, word: str) -> None:
    save_file({name: weight for name, weight in load_file(path).items() if word not in name}, path, {"format": "pt"})


def test_too_few_comments_for_the_folds_are_an_error(work: Path, checkpoint: Path) -> None:
    write_parts(WORDS, train=9)
    with pytest.raises(CommentwiseError, match=r"label 'negative' has 3 training comments, fewer than folds = 5"):
        train("logreg", small(checkpoint), Path("out"))
    with pytest.raises(CommentwiseError, match=r"min_df = 50: no n-gram"):
        train("logreg", small(checkpoint, families__logreg__folds=2, families__logreg__min_df=50), Path("out"))
    assert not Path("out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("stage", [["commentwise.training.bert", "--no-track"], ["commentwise.training.train", "bert"]])
def test_ctrl_c_leaves_the_previous_candidate_one_line_and_no_process(
    stage: list[str], work: Path, checkpoint: Path
) -> None:
    write_parts(WORDS)
    out = work / "artifacts/candidates/bert"
    out.mkdir(parents=True)
    (out / "old").touch()
    endless = {"families.bert.epochs": 100_000, "families.bert.step_tokens": 10}
    change_params(work / "params.yaml", endless | {"families.bert.checkpoint": str(checkpoint)})
    shutil.copyfile(ROOT / "accelerate_config.yaml", work / "accelerate_config.yaml")
    process = subprocess.Popen(
        [sys.executable, "-m", *stage],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while "epoch 1 of" not in (line := process.stdout.readline()):
        assert line, process.communicate()
    started = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    line = "interrupted: run the same command again to continue"
    assert [each for each in errors.splitlines() if "rror" in each or "interrupted" in each] == [line]
    assert errors.splitlines()[-1] == line
    assert not [child for child in started if child.is_running()]
    assert [path.name for path in out.parent.iterdir()] == ["bert"]
    assert [path.name for path in out.iterdir()] == ["old"]

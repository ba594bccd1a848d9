"""The training benchmark: every contender trains, and the comparison gives the ratios."""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState

from benchmarks.result import read_result
from benchmarks.training import __main__ as training
from benchmarks.training import tasks as training_tasks
from benchmarks.training.contenders import CONTENDERS, Options
from benchmarks.training.result import TrainingResult
from benchmarks.training.tasks import random_comments, synthetic
from commentwise.fileio import read_json
from tests.checkpoints import write_checkpoint
from tests.training.conftest import PARAMS, WORDS, make_part, write_parts

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

OPTIONS = Options(step_tokens=400, learning_rate=1e-3, precision="bf16", compile=False)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setitem(training_tasks.SIZES, "tiny", (1, 16, 2))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    # Contenders train in bf16, which accelerate keeps for the whole process.
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize("name", CONTENDERS)
def test_a_contender_changes_the_weights(name: str) -> None:
    task = synthetic("tiny", 100)
    before = task.model.state_dict()["classifier.weight"].clone()
    CONTENDERS[name](task, OPTIONS)()
    assert not torch.equal(before, task.model.state_dict()["classifier.weight"])


def test_random_comments_have_realistic_lengths() -> None:
    lengths = random_comments(5000).lengths
    assert 24 <= np.median(lengths) <= 30
    assert 33 <= lengths.mean() <= 40
    assert lengths.max() == 128
    assert random_comments(10).rows == random_comments(10).rows


def test_ratios_are_ours_over_theirs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(command: list[str], **_: Any) -> Any:
        rate = {"commentwise": 60, "trainer, defaults": 20, "trainer, tuned": 40}[
            command[command.index("--contender") + 1]
        ]
        measured: dict[str, Any] = {
            "comments_per_second": rate,
            "mfu": 0.1,
            "test_macro_f1": None,
            "comments": {"count": 1, "epochs": 1, "mean_tokens": 9.0},
        }
        Path(command[-1]).write_text(json.dumps(measured), encoding="utf-8")
        return argparse.Namespace(returncode=0)

    monkeypatch.setattr("subprocess.run", run)
    monkeypatch.setattr("sys.argv", ["training", "--out", str(tmp_path / "training.json"), "--repeats", "2"])
    training.main()
    result = read_result(TrainingResult, tmp_path / "training.json")
    assert result["ratios"] == {"trainer, defaults": 3.0, "trainer, tuned": 1.5}
    assert (tmp_path / "training.png").stat().st_size > 5000


def test_it_runs_with_torch_transformers_and_accelerate_alone(tmp_path: Path) -> None:
    """No other package of the project may be imported."""
    absent = [
        "onnxruntime",
        "mlflow",
        "pandas",
        "sklearn",
        "datasets",
        "pydantic",
        "rich",
        "dvc",
        "matplotlib",
        "pyarrow",
    ]
    out = tmp_path / "run.json"
    code = f"""
import sys
sys.modules.update(dict.fromkeys({absent}))
sys.argv = ["training", "--comments", "100", "--contender", "commentwise", "--out", {str(out)!r}]
from benchmarks.training.__main__ import main
from benchmarks.training.tasks import SIZES
SIZES["minilm"] = (1, 16, 2)
main()
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert read_json(out)["comments_per_second"] > 0


def test_real_comments_are_also_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(PARAMS, "params.yaml")
    write_parts(WORDS)
    checkpoint = write_checkpoint(tmp_path / "checkpoint", make_part(60, WORDS)["text"])
    for name in CONTENDERS:
        chosen = ["--data", "data/prepared", "--checkpoint", str(checkpoint), "--epochs", "2"]
        monkeypatch.setattr("sys.argv", ["training", *chosen, "--contender", name, "--out", "run.json"])
        training.main()
        result = read_json(Path("run.json"))
        assert 0 < result["test_macro_f1"] <= 1
        assert result["comments"]["count"] == 240

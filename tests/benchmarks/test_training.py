"""Every contender of the training benchmark really trains, and the comparison says by how much they differ."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState

from benchmarks import training
from benchmarks.training import CONTENDERS, comments, make_model

ARGUMENTS = argparse.Namespace(size="tiny", step_tokens=400, compile=False)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setitem(training.SIZES, "tiny", (1, 16, 2))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    # Contenders train in bf16, and accelerate keeps that for the whole process.
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize("name", CONTENDERS)
def test_a_contender_changes_the_weights(name: str) -> None:
    model = make_model("tiny")
    before = model.state_dict()["classifier.weight"].clone()
    CONTENDERS[name](model, comments(100), ARGUMENTS)()
    assert not torch.equal(before, model.state_dict()["classifier.weight"])


def test_comments_are_as_long_as_real_ones() -> None:
    lengths = [len(row) for row in comments(5000)]
    assert 24 <= sorted(lengths)[2500] <= 30
    assert 33 <= sum(lengths) / 5000 <= 40
    assert max(lengths) == 128
    assert comments(10) == comments(10)


def test_the_comparison_is_ours_over_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: Any) -> Any:
        rate = {"commentwise": 60, "trainer, defaults": 20, "trainer, tuned": 40}[
            command[command.index("--contender") + 1]
        ]
        Path(command[-1]).write_text(f'{{"comments_per_second": {rate}, "mfu": 0.1}}', encoding="utf-8")
        return argparse.Namespace(returncode=0)

    monkeypatch.setattr("subprocess.run", run)
    arguments = argparse.Namespace(size="minilm", comments=100, step_tokens=1200, compile=False, repeats=2)
    assert training._compare(arguments)["ratios"] == {"trainer, defaults": 3.0, "trainer, tuned": 1.5}

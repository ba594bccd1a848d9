"""The loop gives the same weights with and without interruption, in micro-batches or whole steps, on one process or two."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from commentwise.errors import CommentwiseError
from commentwise.training.finetune.checkpoints import Checkpoints
from commentwise.training.finetune.loop import LOG_EVERY, Trainer
from tests.training.finetune.loop_run import examples, trainer

ROOT = Path(__file__).parents[3]
RUN = "tests.training.finetune.loop_run"
STEPS = 38


def train(folder: Path, **changes: Any) -> Trainer:
    run = trainer(folder, **changes)
    run.fit()
    return run


def start(folder: Path, *arguments: str, launcher: tuple[str, ...] = ("-m",)) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, *launcher, RUN, str(folder), *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_until(process: subprocess.Popen[str], condition: Callable[[dict[str, Any]], bool]) -> None:
    """Read the rows that the run prints until one meets the condition."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{") and condition(json.loads(line)):
            return
    raise AssertionError(process.communicate())


def weights_of(folder: Path) -> dict[str, Tensor]:
    loaded: dict[str, Tensor] = torch.load(folder / "weights.pt", weights_only=True)
    return loaded


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output


def assert_close(left: dict[str, Tensor], right: dict[str, Tensor], tolerance: float = 1e-5) -> None:
    assert left.keys() == right.keys()
    for name, weight in right.items():
        torch.testing.assert_close(left[name], weight, atol=tolerance, rtol=0, msg=name)


@pytest.mark.slow
def test_a_killed_run_resumes_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole, killed, arguments = tmp_path / "whole", tmp_path / "killed", ("dropout=0.1", "ema_decay=0.9")
    uninterrupted = start(whole, *arguments)
    killed_after = random.randrange(LOG_EVERY, STEPS)
    process = start(killed, *arguments, f"hold={killed_after}", f"checkpoint_steps={random.randrange(1, LOG_EVERY)}")
    read_until(process, lambda row: row["step"] >= killed_after)
    process.kill()
    process.communicate()
    assert not (killed / "weights.pt").exists()
    assert "resuming after step" in finish(start(killed, *arguments))
    finish(uninterrupted)
    assert_close(weights_of(whole), weights_of(killed), tolerance=0)


@pytest.mark.slow
def test_sigterm_saves_the_current_step(tmp_path: Path) -> None:
    process = start(tmp_path, "checkpoint_steps=1000000", "epochs=100000")
    read_until(process, lambda row: row["step"] >= LOG_EVERY)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert errors.splitlines()[-1] == "terminated: run the same command again to continue"
    assert Checkpoints(tmp_path / "run.pt", "test").load()["progress"]["step"] >= LOG_EVERY


# Both processes use the CPU, and communicate through gloo.
OPTIONS = "--multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no"
TWO_PROCESSES = ("-m", "accelerate.commands.launch", *OPTIONS.split(), "-m")


@pytest.mark.parametrize("shard", ["false", "true"], ids=["copies", "shards"])
@pytest.mark.slow
def test_two_processes_that_were_interrupted_give_the_losses_and_weights_of_one(tmp_path: Path, shard: str) -> None:
    one = train(tmp_path / "one", ema_decay=0.9)
    two, arguments = tmp_path / "two", ("ema_decay=0.9", f"shard={shard}")
    stopped = start(two, *arguments, launcher=TWO_PROCESSES)
    read_until(stopped, lambda row: "validation_macro_f1" in row)
    stopped.terminate()
    stopped.communicate()
    assert not (two / "weights.pt").exists()
    output = finish(start(two, *arguments, launcher=TWO_PROCESSES))
    assert "processes: 2" in output
    assert "resuming after step" in output
    history = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    for expected, row in zip(one.progress.history, history, strict=True):
        for name in ("loss", "validation_macro_f1"):
            assert row.get(name) == pytest.approx(expected.get(name), abs=1e-5)
    one.learner.leave_mixed_precision()
    assert_close(one.learner.model.state_dict(), weights_of(tmp_path / "two"))


def test_gradient_accumulation_gives_the_weights_of_whole_steps(tmp_path: Path) -> None:
    accumulated = train(tmp_path / "accumulated", device_tokens=40)
    assert_close(train(tmp_path / "whole").learner.model.state_dict(), accumulated.learner.model.state_dict())


@pytest.mark.parametrize("attention", ["nested", "stock"])
def test_every_attention_kernel_gives_the_same_weights(tmp_path: Path, attention: str) -> None:
    other = train(tmp_path / "other", attention=attention)
    assert_close(
        train(tmp_path / "padded", attention="padded").learner.model.state_dict(),
        other.learner.model.state_dict(),
        tolerance=1e-4,
    )


def test_out_of_memory_halves_the_micro_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = train(tmp_path / "whole")
    stock = torch.nn.Embedding.forward

    def scarce(self: torch.nn.Embedding, tokens: Tensor) -> Tensor:
        if self.num_embeddings == 100 and tokens.numel() > 70 and self.training:
            raise torch.OutOfMemoryError("no memory left")
        return stock(self, tokens)

    monkeypatch.setattr(torch.nn.Embedding, "forward", scarce)
    run = train(tmp_path / "scarce", device_tokens=240)
    assert "out of memory: continuing with 60 tokens at once" in capsys.readouterr().out
    assert run.progress.device_tokens == 60
    monkeypatch.undo()
    assert_close(whole.learner.model.state_dict(), run.learner.model.state_dict())
    monkeypatch.setattr(torch.nn.Embedding, "forward", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError()))
    with pytest.raises(CommentwiseError, match=r"out of memory with 39 tokens at once: lower families.bert"):
        train(tmp_path / "none", device_tokens=39)


def test_training_stops_after_patience_epochs_without_improvement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.3, 0.5, 0.4, 0.5, 0.9])
    monkeypatch.setattr("commentwise.training.finetune.loop.macro_f1", lambda *_: next(scores))
    run = train(tmp_path, epochs=5, patience=2)
    assert [row["epoch"] for row in run.progress.history if "validation_macro_f1" in row] == [1, 2, 3, 4]
    assert run.progress.best_epoch == 2


def test_the_moving_average_of_the_weights_is_evaluated_and_kept(tmp_path: Path) -> None:
    plain, averaged = train(tmp_path / "plain", epochs=1), train(tmp_path / "averaged", epochs=1, ema_decay=0.9)
    left, right = (
        torch.cat([weight.flatten() for weight in run.learner.model.state_dict().values()]) for run in (plain, averaged)
    )
    assert (left - right).abs().max() > 1e-4
    logits = averaged.logits(examples(31, seed=1))
    again = train(tmp_path / "averaged", epochs=1, ema_decay=0.9)
    np.testing.assert_array_equal(logits, again.logits(examples(31, seed=1)))


def test_a_checkpoint_that_is_damaged_or_of_another_run_is_ignored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path)
    assert Checkpoints(tmp_path / "run.pt", "other").load() == {}
    assert "belongs to other settings, data or code" in capsys.readouterr().out
    os.truncate(tmp_path / "run.pt", 1000)
    assert Checkpoints(tmp_path / "run.pt", "test").load() == {}
    assert "cannot be read" in capsys.readouterr().out

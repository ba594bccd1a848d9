"""The commands seeds, tune and adapt on a prepared project."""

import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from transformers import AutoModel

from commentwise.fileio import read_json
from commentwise.models.encoders.loading import load_encoder
from tests.project import Project

pytestmark = pytest.mark.slow


def runs(project: Project) -> list[Run]:
    client = MlflowClient(f"sqlite:///{project.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("commentwise")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def nested(project: Project) -> tuple[Run, list[Run]]:
    """The run of the only study, and the training runs nested in it."""
    (study,) = (run for run in runs(project) if "commentwise.study" in run.data.tags)
    inside = [run for run in runs(project) if run.data.tags.get(MLFLOW_PARENT_RUN_ID) == study.info.run_id]
    assert len(inside) + 1 == len(runs(project))
    return study, inside


def read_until(process: "subprocess.Popen[str]", printed: str) -> str:
    assert process.stdout is not None
    while printed not in (line := process.stdout.readline()):
        assert line, process.communicate()
    return line


def test_a_larger_count_reuses_the_finished_seeds(project: Project) -> None:
    project.module("commentwise.training.studies.seeds", "2")
    assert len(nested(project)[1]) == 2
    first = read_json(project.folder / "reports/seeds.json")
    printed = project.module("commentwise.training.studies.seeds", "3")
    study, inside = nested(project)
    assert len(inside) == 3
    assert {run.data.params["seed"] for run in inside} == {"42", "43", "44"}
    assert len({run.data.metrics["loss"] for run in inside}) == 3
    report = read_json(project.folder / "reports/seeds.json")
    assert report["seeds"][:2] == first["seeds"]
    scores = [row["test_macro_f1"] for row in report["seeds"]]
    assert report["scores"]["test_macro_f1"]["mean"] == pytest.approx(sum(scores) / 3)
    assert study.data.metrics["test_macro_f1.mean"] == pytest.approx(sum(scores) / 3)
    assert f"{sum(scores) / 3:.3f} ±" in printed
    assert not list((project.folder / "build/trials").glob("*/model"))


def test_a_search_resumes_and_trains_each_trial_once(project: Project) -> None:
    project.set_params({"tune.space": {"epochs": [1, 2], "learning_rate": {"low": 1e-4, "high": 1e-2}}})
    project.module("commentwise.training.studies.tune", "--trials", "1")
    printed = project.module("commentwise.training.studies.tune", "--trials", "2")
    assert "trial 1 of" not in printed
    assert "trial 2 of 2" in printed
    study, inside = nested(project)
    assert len(inside) == 3  # the settings of params.yaml, and two trials
    report: dict[str, Any] = read_json(project.folder / "reports/tune.json")
    assert report["present"]["epochs"] == 1
    assert len(report["trials"]) == 2
    assert report["best"] == report["trials"][0]
    assert study.data.metrics["best.validation_macro_f1"] == report["best"]["validation_macro_f1"]
    assert f"-S families.bert.learning_rate={report['best']['learning_rate']}" in printed


@pytest.mark.parametrize(
    "arguments",
    [["commentwise.training.studies.seeds", "2"], ["commentwise.training.studies.tune"]],
    ids=["seeds", "tune"],
)
def test_sigterm_ends_a_study_and_its_training_and_saves_a_checkpoint(project: Project, arguments: list[str]) -> None:
    project.set_params({"families.bert.epochs": 100000})
    process = project.start(*arguments)
    read_until(process, "epoch 1 of")
    started = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert not [child for child in started if child.is_running()]
    (trial,) = (project.folder / "build/trials").glob("*.yaml")
    assert (project.folder / f"build/checkpoints/{trial.stem}.pt").is_file()


def test_a_search_space_with_bad_settings_is_an_error(project: Project) -> None:
    project.set_params({"tune.space": {"epochs": [0, 1]}})
    printed = project.module("commentwise.training.studies.tune", fails=True)
    assert (
        printed
        == "error: params.yaml, tune.space: families.bert.epochs = 0: input should be greater than or equal to 1\n"
    )
    project.set_params({"tune.space": {"epoch": [1]}})
    printed = project.module("commentwise.training.studies.tune", fails=True)
    assert printed.startswith(
        "error: params.yaml: tune: epoch is not a setting of families.bert (known: checkpoint, epochs"
    )


def test_an_adapted_checkpoint_has_new_weights_and_can_be_fine_tuned(project: Project) -> None:
    printed = project.module("commentwise.training.studies.adapt", "--epochs", "2", "--batch", "8")
    out = project.folder / "build/adapted"
    assert f"the checkpoint is in {out.relative_to(project.folder)}" in printed
    before, after = (AutoModel.from_pretrained(folder).state_dict() for folder in (project.folder / "tiny-bert", out))
    changed = {name for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert "embeddings.word_embeddings.weight" in changed
    assert not [name for name in changed if name.startswith("pooler")]
    load_encoder(out, ["negative", "neutral", "positive"])
    assert (out / "tokenizer.json").read_bytes() == (project.folder / "tiny-bert/tokenizer.json").read_bytes()
    assert list((project.folder / "build/adapt").iterdir()) == []


def test_an_interrupted_adaptation_resumes(project: Project) -> None:
    def first_logged_epoch() -> float:
        """Start a run, and terminate it after the first line that it logs; return the epoch in that line."""
        process = project.start("commentwise.training.studies.adapt", "--epochs", "100000")
        match = re.search(r"'epoch': '?([\d.]+)", read_until(process, "'loss':"))
        process.terminate()
        process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM
        assert match is not None
        return float(match[1])

    first_logged_epoch()
    (saved,) = (project.folder / "build/adapt").glob("*/checkpoint-*/trainer_state.json")
    saved_epoch = read_json(saved)["epoch"]
    assert first_logged_epoch() > saved_epoch
    assert not (project.folder / "build/adapted").exists()


def test_all_processes_stop_after_the_same_step_when_one_gets_sigterm(project: Project) -> None:
    launcher = project.start(
        *[
            "accelerate.commands.launch",
            "--multi_gpu",
            "--num_processes",
            "2",
            "--num_machines",
            "1",
            "--mixed_precision",
            "no",
        ],
        *["--dynamo_backend", "no", "-m", "commentwise.training.studies.adapt", "--epochs", "100000"],
    )
    read_until(launcher, "'loss':")
    started = psutil.Process(launcher.pid).children(recursive=True)
    (second,) = [process for process in started if process.environ().get("RANK") == "1"]
    second.terminate()
    launcher.communicate(timeout=60)
    assert not [process for process in started if process.is_running()]
    (saved,) = (project.folder / "build/adapt").glob("*/checkpoint-*")
    assert {path.name for path in saved.glob("rng_state_*")} == {"rng_state_0.pth", "rng_state_1.pth"}


def test_adapting_to_files(project: Project) -> None:
    (project.folder / "more.jsonl").write_text('{"text": "never seen before"}\n{"text": ""}\n' * 40, encoding="utf-8")
    assert "adapt: 1 epochs over 40 comments" in project.module(
        "commentwise.training.studies.adapt", "more.jsonl", "--batch", "8"
    )
    Path(project.folder / "none.jsonl").write_text('{"body": "text"}\n', encoding="utf-8")
    printed = project.module("commentwise.training.studies.adapt", "none.jsonl", fails=True)
    assert printed == "error: none.jsonl has no comments in a column 'text': set data.columns.text\n"

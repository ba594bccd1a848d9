"""Publishing to a real MLflow store: which version becomes champion or challenger, and the reason."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from commentwise.errors import CommentwiseError
from commentwise.fileio import read_json, write_json
from commentwise.models.bundle import bundle_id
from commentwise.models.names import bundle_folder
from commentwise.training.candidate import write_resources
from commentwise.training.families import catalog as families
from commentwise.training.project import Project
from commentwise.training.provenance import folder_md5
from commentwise.training.registry import publish, tracking
from commentwise.training.registry import versions as registry
from tests.tiny import LABELS, NEGATIVE, NEUTRAL, POSITIVE, write_tiny_bundle, write_tiny_manifest
from tests.training.conftest import make_part, settings

WORDS = {"negative": NEGATIVE, "neutral": NEUTRAL[:5], "positive": POSITIVE}
MODEL = "commentwise"
PROJECT = Project()
FIELDS = ("labels", "metrics", "data", "params", "git", "environment")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty tracking database: creating its tables takes seconds, copying it does not."""
    folder = tmp_path_factory.mktemp("store")
    MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def client(work: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A client for the store of a project after export, in the current folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copyfile(store, work / "mlflow.db")
    write_trained()
    return tracking.connect(PROJECT)


SCORES = {name: {"value": 0.5, "low": 0.4, "high": 0.6} for name in ("accuracy", "macro_f1", "macro_recall")}
PART = {
    "comments": 90,
    "scores": SCORES,
    "labels": {label: {"precision": 0.5, "recall": 0.5, "f1": 0.5, "comments": 30} for label in LABELS},
    "ece": 0.1,
    "ece_calibrated": 0.05,
}


def write_trained() -> None:
    """Write the files of training, evaluation and export into the current folder."""
    Path("data/prepared").mkdir(parents=True)
    for part in ("train", "validation", "test"):
        make_part(90, WORDS).to_parquet(f"data/prepared/{part}.parquet", index=False)
    Path("data/raw").mkdir()
    make_part(270, WORDS).to_parquet(PROJECT.raw, index=False)
    for family in families.names():
        write_family(family)
    write_json(PROJECT.selection, {"reason": "it is the best"})
    write_json(PROJECT.baselines, {"svm": {"test": {"macro_f1": 0.5}}})
    make_bundle(0)


def write_family(family: str) -> None:
    folder = PROJECT.candidate(family)
    folder.mkdir(parents=True)
    make_part(90, WORDS)[["comment_id", "label"]].to_parquet(folder / "test.parquet", index=False)
    (folder / "history.jsonl").write_text('{"step": 1, "loss": 0.5}\n', encoding="utf-8")
    write_json(folder / "metrics.json", {"family": family, "parameters": 7, "operations": 7, "chosen": {"C": 1}})
    if families.families()[family].reproducible:
        (folder / "model.onnx").write_bytes(b"a graph")
    resources = {"seconds": 1.0, "peak_memory_mb": 100, "device": "a processor"}
    write_resources(PROJECT.resources(family), folder, resources)
    write_json(PROJECT.evaluated(family), {"temperature": 1.0, "validation": PART, "test": PART})


def make_bundle(number: int, strength: float = 6.0, labels: list[str] = LABELS, split: str = "p") -> None:
    """Write the tiny bundle; with a negative strength it confuses negative and positive."""
    shutil.rmtree(PROJECT.bundle, ignore_errors=True)
    PROJECT.bundle.mkdir(parents=True)
    write_tiny_bundle(PROJECT.bundle, strength)
    rows = {"train": 90, "validation": 90, "test": 90}
    write_tiny_manifest(
        PROJECT.bundle,
        labels=labels,
        metrics={"test": PART, "validation": PART},
        data={"source": "a file", "raw_md5": "r", "prepared_md5": split, "rows": rows},
        params={"seed": number},
        git={"commit": "c0ffee", "dirty": []},
        environment={"python": "3.11", "system": "Linux", "packages": {"numpy": "2"}},
    )


def alias(client: MlflowClient, name: str) -> str | None:
    try:
        return str(client.get_model_version_by_alias(MODEL, name).version)
    except MlflowException:
        return None


def published(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The lines that publishing prints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["commentwise publish", *arguments])
        publish.main()
    return capsys.readouterr().out.splitlines()


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    """The line with the decision."""
    return next(line for line in published(capsys) if line.startswith("publish: version "))


def test_the_first_version_is_champion_and_publishing_it_again_changes_nothing(
    client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed(capsys) == "publish: version 1 of 'commentwise' is champion: it is the first"
    assert printed(capsys) == "publish: version 1 of 'commentwise' is champion: it already was"
    version = client.get_model_version(MODEL, "1")
    assert version.tags[registry.DECISION_TAG] == "it is the first"
    assert version.tags[registry.BUNDLE_TAG] == bundle_id(PROJECT.bundle)


def train_from(folder: Path) -> None:
    """Make the project one whose encoder was trained from a local checkpoint."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    metrics = PROJECT.candidate("bert") / "metrics.json"
    write_json(metrics, read_json(metrics) | {"checkpoint_md5": folder_md5(folder)})
    manifest = read_json(PROJECT.bundle / "manifest.json")
    write_tiny_manifest(PROJECT.bundle, **{name: manifest[name] for name in FIELDS} | {"checkpoint": str(folder)})


def test_a_local_checkpoint_limits_reproduction_and_publishing_says_so(
    client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("build/larger")
    train_from(folder)
    line = published(capsys)[-2]
    assert line.startswith("warning: this version can be reproduced only where the folder 'build/larger' with md5 ")
    md5 = folder_md5(folder)
    with registry.downloaded(client.get_model_version(MODEL, "1"), "candidates.json") as path:
        facts = read_json(path)
    assert {name: known["local_checkpoint_md5"] for name, known in facts.items()} == {
        "logreg": None,
        "svm": None,
        "bert": md5,
    }
    (folder / "config.json").write_text('{"changed": true}', encoding="utf-8")
    assert f"has changed since the training (it had md5 {md5})" in published(capsys)[-2]
    subprocess.run(["git", "init", "--quiet"], check=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    subprocess.run(["git", "add", folder], check=True)
    assert not [line for line in published(capsys) if line.startswith("warning")]


def test_a_worse_version_is_challenger_and_a_better_one_champion(
    client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    make_bundle(0, strength=-6.0)
    printed(capsys)
    make_bundle(1)
    assert "is champion: it beats the champion: +" in printed(capsys)
    make_bundle(2, strength=-6.0)
    assert "is challenger: it is not significantly better than the champion: -" in printed(capsys)
    assert (alias(client, "champion"), alias(client, "challenger")) == ("2", "3")


def test_an_equal_version_is_challenger(client: MlflowClient, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys)
    make_bundle(1)
    line = printed(capsys)
    assert "is challenger: it is not significantly better than the champion: +0.0 points" in line
    assert "(95% interval +0.0 to +0.0)" in line
    assert alias(client, "champion") == "1"


def test_a_challenger_that_becomes_champion_loses_the_alias_challenger(
    client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    printed(capsys)
    make_bundle(1)
    printed(capsys)
    assert alias(client, "challenger") == "2"
    client.delete_registered_model_alias(MODEL, "champion")
    printed(capsys)
    assert (alias(client, "champion"), alias(client, "challenger")) == ("2", None)


def test_a_champion_of_another_split_gets_a_warning(client: MlflowClient, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys)
    make_bundle(1, split="another")
    assert "may have seen some of these comments" in printed(capsys)


def test_a_loser_ends_with_the_champion_and_the_command_that_serves_it(
    client: MlflowClient, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    champion = bundle_id(PROJECT.bundle)
    published(capsys)
    make_bundle(1, strength=-6.0)
    line = published(capsys)[-1]
    assert line.startswith("publish: champion is still version 1, and artifacts/bundle holds version 2: ")
    (command,) = re.findall("`(.*)`", line)
    name = shlex.split(command)[-1]
    assert command == f"commentwise serve --model {name}"
    assert bundle_id(bundle_folder(name, tmp_path / "store")) == champion


def test_a_champion_with_other_labels_is_replaced_by_the_command_in_the_error(
    client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    make_bundle(0, labels=["bad", "so-so", "good"])
    printed(capsys)
    make_bundle(1)
    with pytest.raises(
        CommentwiseError, match=r"champion version 1 has the labels \['bad', 'so-so', 'good'\]"
    ) as refused:
        published(capsys)
    (command,) = re.findall("`commentwise publish (.*)`", str(refused.value))
    line = published(capsys, *shlex.split(command))[-1]
    assert line.startswith("publish: version 2 of 'commentwise' is champion: champion version 1 has the labels")
    assert client.get_model_version(MODEL, "2").tags[registry.PREVIOUS_TAG] == "1"  # `commentwise rollback` goes back


def test_a_run_with_an_interrupted_upload_is_ignored(client: MlflowClient, capsys: pytest.CaptureFixture[str]) -> None:
    """After a kill between upload and registration, the next call creates one version with the complete run."""
    with mlflow.start_run(run_name="bundle-logreg"):
        mlflow.log_artifact(str(PROJECT.bundle / "manifest.json"), registry.BUNDLE_FOLDER)
    run = publish._upload(client, PROJECT, bundle_id(PROJECT.bundle), families.names())
    printed(capsys)
    assert client.get_model_version(MODEL, "1").run_id == run


def test_the_model_card_has_scores_limits_and_lineage(client: MlflowClient, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys)
    with registry.downloaded(client.get_model_version(MODEL, "1"), "model_card.md") as path:
        card = path.read_text(encoding="utf-8")
    for text in (
        "macro-F1 | 0.500 (0.400 to 0.600)",
        "it is the best",
        "commit c0ffee",
        "Intended use",
        "Limits",
        "0.050 as served",
    ):
        assert text in card


def test_a_candidate_is_recorded_again_only_with_another_evaluation(client: MlflowClient) -> None:
    chosen = settings()
    first = tracking.record_candidate(client, PROJECT, "svm", chosen)
    assert tracking.record_candidate(client, PROJECT, "svm", chosen) == first
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    assert experiment is not None
    assert len(client.search_runs([experiment.experiment_id])) == 1
    write_json(PROJECT.evaluated("svm"), {"temperature": 2.0, "validation": PART, "test": PART})
    assert tracking.record_candidate(client, PROJECT, "svm", chosen) != first
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.metrics["loss"] == 0.5
    assert run.data.metrics["resources.seconds"] == 1.0
    assert run.data.params["chosen.C"] == "1"
    assert run.inputs is not None
    assert {entry.dataset.name for entry in run.inputs.dataset_inputs} == {"validation", "test"}
    assert len({entry.dataset.digest for entry in run.inputs.dataset_inputs}) == 1


def test_a_live_run_continues_without_mlflow(client: MlflowClient, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    assert experiment is not None
    run = client.create_run(experiment.experiment_id)
    live = tracking.LiveRun(run)
    live.log({"loss": 1.0}, step=1)
    client.delete_run(run.info.run_id)
    live.log({"loss": 0.5}, step=2)
    live.log({"loss": 0.4}, step=3)
    assert client.get_run(run.info.run_id).data.metrics == {"loss": 1.0}
    assert capsys.readouterr().out.count("warning: MLflow no longer answers") == 1

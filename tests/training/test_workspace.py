"""A project of one's own: `init` writes what is missing, its pipeline is the repository's, `migrate` says what changes."""

import json
import subprocess
from pathlib import Path

import pytest

from commentwise import __version__
from commentwise.errors import CommentwiseError
from commentwise.training.params import read_params
from commentwise.training.settings import load_settings
from commentwise.training.workspace.init import init
from commentwise.training.workspace.migrate import migrate
from commentwise.training.workspace.template import VERSION
from tests.checkpoints import sample_texts, write_checkpoint
from tests.project import ROOT, Project


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Test")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "test@example.org")
    return tmp_path / "own"


def commit(folder: Path) -> None:
    subprocess.run(["git", "add", "--all"], cwd=folder, check=True)
    subprocess.run(["git", "commit", "--quiet", "--message", "all"], cwd=folder, check=True)


def test_init_writes_a_project_and_keeps_what_exists(folder: Path) -> None:
    first = init(folder)
    assert "git repository created" in first
    assert "DVC repository created" in first
    assert load_settings(folder / "params.yaml").data.path == "data/comments.csv"
    (folder / "README.md").write_text("mine", encoding="utf-8")
    (folder / "accelerate_config.yaml").unlink()
    again = init(folder)
    assert again[0] == "wrote accelerate_config.yaml"
    assert "README.md" in again[1]
    assert (folder / "README.md").read_text(encoding="utf-8") == "mine"
    assert len(again) == 2


def test_a_project_within_a_repository_gets_its_own_dvc_files(folder: Path) -> None:
    folder.parent.mkdir(exist_ok=True)
    subprocess.run(["git", "init", "--quiet"], cwd=folder.parent, check=True)
    assert "git repository created" not in init(folder)
    assert (folder / ".dvc/config").is_file()
    assert not (folder / ".git").exists()


def test_the_pipeline_is_that_of_the_repository(folder: Path) -> None:
    init(folder)
    own, ours = read_params(folder / "dvc.yaml"), read_params(ROOT / "dvc.yaml")
    assert list(own["stages"]) == list(ours["stages"])
    for name, stage in own["stages"].items():
        body, source = stage.get("do", stage), ours["stages"][name].get("do", ours["stages"][name])
        assert {"version"} == {key for param in body["params"] if isinstance(param, dict) for key in param[VERSION]}
        assert body["params"][:-1] == source["params"]
        assert all(body.get(kind) == source.get(kind) for kind in ("outs", "metrics", "plots"))
        assert all(dependency in source["deps"] for dependency in body["deps"])
        assert not any(dependency.endswith(".py") for dependency in body["deps"])


def test_migrate_says_what_changes_and_keeps_values_and_comments(folder: Path) -> None:
    init(folder)
    commit(folder)
    assert migrate(folder, dry=False) == []
    params = folder / "params.yaml"
    before = params.read_text(encoding="utf-8")
    older = (
        before.replace("seed: 42\n", "")
        .replace("  margin: 0.01 ", "  tie: smaller ")
        .replace("max_tokens: 128 ", "max_tokens: 64 ")
    )
    params.write_text(older, encoding="utf-8")
    (folder / VERSION).write_text("version: 0.0.1\n", encoding="utf-8")
    with pytest.raises(CommentwiseError, match=r"params.yaml has changes that are not committed: commit them"):
        migrate(folder, dry=False)
    changes = migrate(folder, dry=True)
    assert params.read_text(encoding="utf-8") == older
    commit(folder)
    assert migrate(folder, dry=False) == changes
    assert changes[0] == f"version 0.0.1 -> {__version__}: every stage runs again"
    assert {"params.yaml: seed = 42 is new", "params.yaml: select.tie = smaller is gone"} < set(changes)
    assert params.read_text(encoding="utf-8") == before.replace("max_tokens: 128 ", "max_tokens: 64 ")
    load_settings(params)


def test_migrate_outside_a_project_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError, match="made by `commentwise init`"):
        migrate(tmp_path, dry=False)


@pytest.mark.slow
def test_the_first_day_in_a_project_of_ones_own(folder: Path) -> None:
    init(folder)
    project = Project(folder)
    project.environment["PYTHONPATH"] = str(ROOT)
    lines = ["Review Text;Rating", *(f'"{text}";{label}' for text, label in rows(300))]
    (folder / "data/comments.csv").write_bytes(("\n".join(lines) + "\n").encode("cp1252", "replace"))
    write_checkpoint(folder / "tiny-bert", sample_texts(300))
    project.commit("new")
    refused = project.module("commentwise", "run", fails=True)
    assert "data/comments.csv has no column 'text' (it has 'Rating', 'Review Text'): set data.columns.text" in refused
    project.set_params(
        {
            "families.bert.checkpoint": "./tiny-bert",
            "families.bert.epochs": 1,
            "families.logreg.folds": 2,
            "families.svm.folds": 2,
            "evaluate.resamples": 200,
        }
    )
    printed = " ".join(project.module("commentwise", "train", "data/comments.csv", COLUMNS="200").split())
    assert "text: 'Review Text', with" in printed
    assert " wins: it leads with " in printed
    assert "commentwise score more.csv -o scored.csv --column 'Review Text'" in printed
    project.commit("trained")
    # What the workflow for CI checks.
    assert "Running stage" not in project.run("dvc", "repro", "--dry", "--allow-missing")
    assert "version 1 of 'commentwise' is champion" in project.module("commentwise", "publish")
    assert "version 1 is reproduced" in project.module("commentwise", "reproduce", "champion")
    (folder / VERSION).write_text("version: 0.0.1\n", encoding="utf-8")
    assert "Running stage 'ingest'" in project.run("dvc", "repro", "--dry")


def rows(number: int) -> list[tuple[str, str]]:
    lines = (ROOT / "data/sample/comments.jsonl").read_text(encoding="utf-8").splitlines()[:number]
    found = [json.loads(line) for line in lines]
    return [(row["text"].replace('"', '""').replace("\n", " "), row["label"].capitalize()) for row in found]

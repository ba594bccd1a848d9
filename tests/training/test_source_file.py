"""The source file of a project is kept by DVC: a changed one is noticed and can be restored."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from commentwise.training.params import read_params
from commentwise.training.project import Project
from commentwise.training.settings import DataSettings, load_settings
from commentwise.training.workspace.init import init
from commentwise.training.workspace.source import keep


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Test")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "test@example.org")
    init(tmp_path / "own")
    (tmp_path / "own/data/comments.csv").write_text("text,label\nlovely,good\n", encoding="utf-8")
    return Project(tmp_path / "own")


def data(project: Project, **changes: object) -> DataSettings:
    return load_settings(project.params).data.model_copy(update=changes)


def run(project: Project, *command: str) -> None:
    subprocess.run(command, cwd=project.root, check=True)


def test_an_overwritten_file_is_noticed_and_restored(project: Project) -> None:
    file = project.root / "data/comments.csv"
    before = file.read_bytes()
    (line,) = keep(project, data(project))
    # What md5sum says.
    assert line == f"DVC keeps data/comments.csv, md5 {hashlib.md5(before).hexdigest()}: commit data/comments.csv.dvc"
    assert keep(project, data(project)) == []
    run(project, "git", "add", "--all")
    run(project, "git", "commit", "--quiet", "--message", "data")
    file.write_text("text,label\nawful,bad\n", encoding="utf-8")
    (line,) = keep(project, data(project))
    assert line.startswith("data/comments.csv changed since the last run: 23 bytes with md5 ")
    assert "-> 21 bytes with md5 " in line
    assert read_params(file.with_name("comments.csv.dvc"))["outs"][0]["size"] == 21
    command = line.split("`")[1]
    assert command == "git checkout data/comments.csv.dvc && dvc checkout data/comments.csv.dvc"
    git, dvc = (part.split() for part in command.split(" && "))
    run(project, *git)
    run(project, sys.executable, "-m", *dvc)
    assert file.read_bytes() == before


def test_a_file_that_git_tracks_a_folder_and_what_is_elsewhere_are_left_alone(project: Project, tmp_path: Path) -> None:
    (tmp_path / "outside.csv").write_text("text,label\n", encoding="utf-8")
    (project.root / "folder").mkdir()
    (project.root / "data/tracked.csv").write_text("text,label\n", encoding="utf-8")
    run(project, "git", "add", "data/tracked.csv")
    for change in (
        {"path": str(tmp_path / "outside.csv")},
        {"path": "folder"},
        {"path": "data/tracked.csv"},
        {"path": "data/missing.csv"},
        {"hub": "some/data"},
    ):
        assert keep(project, data(project, **change)) == []
    assert keep(Project(tmp_path), data(project, path="outside.csv")) == []
    assert not list(tmp_path.rglob("*.csv.dvc"))


def test_a_file_that_dvc_cannot_keep_is_a_warning(project: Project) -> None:
    (project.root / ".gitignore").write_text("data/\n", encoding="utf-8")
    (line,) = keep(project, data(project))
    assert line.startswith("warning: DVC cannot keep data/comments.csv (")

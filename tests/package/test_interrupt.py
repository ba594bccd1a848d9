"""Ctrl-C at several moments of real commands: one line, status 130, and no process is left.

A terminal sends SIGINT to every process of its foreground group. A hook, which Python loads at its start, does so when
any of these processes imports the module named in AT.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.package.extras import ROOT
from tests.waiting import until

LINE = "interrupted: run the same command again to continue\n"
HOOK = """
import os, signal, sys

class Finder:
    def find_spec(name, path=None, target=None):
        if name == os.environ["AT"]:
            os.environ["AT"] = ""
            os.killpg(os.getsid(0), signal.SIGINT)

sys.meta_path.insert(0, Finder)
"""
STAGES = """
stages:
  ingest: {cmd: python -m commentwise.training.data.ingest, outs: [data/raw]}
  bert: {cmd: python -m commentwise.training.train bert, outs: [artifacts/candidates/bert]}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a pipeline of one stage, beside the hook."""
    folder = tmp_path_factory.mktemp("interrupt")
    project = folder / "project"
    (project / "data").mkdir(parents=True)
    for name in ("params.yaml", "accelerate_config.yaml"):
        shutil.copyfile(ROOT / name, project / name)
    (project / "dvc.yaml").write_text(STAGES, encoding="utf-8")
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    for command in (["init", "--quiet"], ["config", "core.analytics", "false"]):
        subprocess.run([sys.executable, "-m", "dvc", *command], cwd=project, check=True)
    (folder / "hook").mkdir()
    (folder / "hook" / "sitecustomize.py").write_text(HOOK, encoding="utf-8")
    return project


def interrupted(project: Path, at: str, *command: str) -> str:
    """Run a command, with Ctrl-C at the import of `at`; return what it prints to stderr."""
    paths = [str(project.parent / "hook"), str(ROOT)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "DVC"))}
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=project,
        env=environment | {"PYTHONPATH": os.pathsep.join(paths), "AT": at},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _, errors = process.communicate()
    until(lambda: not in_session(process.pid))
    assert process.returncode == 130, errors
    return errors


def in_session(leader: int) -> list[int]:
    found = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == leader:
                found.append(pid)
        except ProcessLookupError:
            continue
    return found


@pytest.mark.parametrize(
    ("at", "command"),
    [
        ("commentwise.commands", ["commentwise", "--help"]),
        ("commentwise.training.registry.publish", ["commentwise", "publish"]),
        ("numpy", ["commentwise", "score", "few.csv", "-o", "out.csv"]),
        ("pandas", ["commentwise", "publish"]),
        ("mlflow.tracking", ["commentwise", "history"]),
        ("pydantic", ["commentwise.training.train", "svm"]),
    ],
)
def test_during_the_imports_of_a_command(at: str, command: list[str], project: Path) -> None:
    assert interrupted(project, at, *command) == LINE


@pytest.mark.parametrize(
    ("at", "stage"),
    [
        ("dvc.repo", "ingest"),
        ("commentwise.training.data.ids", "ingest"),
        ("transformers", "bert"),
    ],
    ids=["in DVC", "in a stage", "in a training that accelerate has launched"],
)
def test_during_the_pipeline(at: str, stage: str, project: Path) -> None:
    assert interrupted(project, at, "commentwise", "run", stage) == LINE

"""`commentwise run`: DVC with the Python that runs the command, experiments, the comparison, failures and Ctrl-C."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from commentwise import pipeline
from commentwise.training.choice import comparison
from tests.package.extras import ROOT

STAGES = """
stages:
  python: {cmd: "python -c 'import sys; print(sys.executable)' > python.txt", params: [seed], outs: [python.txt]}
  broken: {cmd: exit 3}
  endless: {cmd: echo started; exec cat fifo}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for command in (["git", "init", "--quiet"], [sys.executable, "-m", "dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    (tmp_path / "dvc.yaml").write_text(STAGES, encoding="utf-8")
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "add", "--all"], cwd=tmp_path, check=True)
    subprocess.run(["git", *identity, "commit", "--quiet", "--message", "stages"], cwd=tmp_path, check=True)
    return tmp_path


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command where PATH has no `python`."""
    (project / "bin").mkdir(exist_ok=True)
    for name in ("git", "sh"):
        found = shutil.which(name)
        assert found
        if not (project / "bin" / name).exists():
            (project / "bin" / name).symlink_to(found)
    environment = {"PATH": str(project / "bin"), "PYTHONPATH": str(ROOT), "HOME": str(project), "SHELL": "/bin/sh"}
    environment |= {"GIT_AUTHOR_NAME": "Test", "GIT_AUTHOR_EMAIL": "test@example.org"}
    environment |= {"GIT_COMMITTER_NAME": "Test", "GIT_COMMITTER_EMAIL": "test@example.org"}
    command = [sys.executable, "-m", "commentwise", "run", *arguments]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_stages_run_with_the_same_python_and_parameters_make_an_experiment(project: Path) -> None:
    done = run(project, "python", "-S", "seed=2")
    assert done.returncode == 0, done.stderr
    assert (project / "python.txt").read_text(encoding="utf-8").strip() == sys.executable
    assert "seed: 2\n" in (project / "params.yaml").read_text(encoding="utf-8")


def test_a_failed_stage_ends_with_one_line(project: Path) -> None:
    done = run(project, "broken")
    assert done.returncode == 1
    line = "error: `dvc repro broken` failed: fix the error above and run the same command again"
    assert done.stderr.splitlines()[-1] == line


@pytest.mark.parametrize(
    ("targets", "compared"), [([], True), (["export"], True), (["ingest", "select"], True), (["ingest"], False)]
)
def test_a_new_choice_is_shown(monkeypatch: pytest.MonkeyPatch, targets: list[str], compared: bool) -> None:
    shown: list[bool] = []
    commands: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["commentwise run", *targets])
    monkeypatch.setattr(pipeline, "run_dvc", commands.append)
    monkeypatch.setattr(comparison, "show", lambda _: shown.append(True))
    monkeypatch.setattr(pipeline, "keep", lambda *_: [])
    monkeypatch.chdir(ROOT)
    pipeline.main()
    assert (commands, bool(shown)) == ([["repro", *targets]], compared)


def test_ctrl_c_ends_with_status_130_and_no_process(project: Path) -> None:
    os.mkfifo(project / "fifo")
    process = subprocess.Popen(
        [sys.executable, "-m", "commentwise", "run", "endless"],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    assert process.stdout
    while process.stdout.readline() != "started\n":
        assert process.poll() is None
    started = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "interrupted: run the same command again to continue"
    assert "Traceback" not in errors
    assert not [child for child in started if child.is_running()]

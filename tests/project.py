"""A copy of this repository in which tests run commands, with few comments and a tiny encoder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from commentwise.training.params import read_params, write_params
from commentwise.training.project import Project as Layout
from tests.checkpoints import sample_texts, write_checkpoint

ROOT = Path(__file__).parents[1]
ROWS = 400
NOT_COPIED = ("data/", "artifacts/", "reports/", "dvc.lock", "tests/", "docs/")


class Project:
    """A folder with a copy of the code and its own git and DVC repository, and methods that run commands in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.layout = Layout(folder)
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "DVC", "COMMENTWISE"))
        }
        self.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        for role in ("AUTHOR", "COMMITTER"):
            self.environment |= {f"GIT_{role}_NAME": "Test", f"GIT_{role}_EMAIL": "test@example.org"}

    @classmethod
    def create(cls, folder: Path, rows: int = ROWS) -> "Project":
        """Copy the code, including uncommitted changes, and commit it with `rows` comments of the sample."""
        files = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        for name in filter(None, files.stdout.decode().split("\0")):
            # Without the outputs of the pipeline in this working tree.
            if not name.startswith(NOT_COPIED) and (ROOT / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                # commentwise/ has links to the folders of its subpackages.
                shutil.copyfile(ROOT / name, folder / name, follow_symlinks=False)
        project = cls(folder)
        sample = (ROOT / "data/sample/comments.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / "data").mkdir()
        (folder / "data/few.jsonl").write_text("".join(sample[:rows]), encoding="utf-8")
        write_checkpoint(folder / "tiny-bert", sample_texts(rows))
        project.set_params(
            {
                "data.path": "data/few.jsonl",
                "families.bert.checkpoint": "./tiny-bert",
                "families.bert.epochs": 1,
                "families.logreg.folds": 2,
                "families.svm.folds": 2,
                "families.logreg.C": [1],
                "families.svm.C": [0.2],
                "evaluate.resamples": 200,
            }
        )
        project.run("git", "init", "--quiet", "--initial-branch=main")
        project.commit("code")
        return project

    def set_params(self, values: dict[str, Any]) -> None:
        """Change values in params.yaml, by dotted key."""
        path = self.folder / "params.yaml"
        params = read_params(path)
        for name, value in values.items():
            section = params
            *parents, key = name.split(".")
            for parent in parents:
                section = section[parent]
            section[key] = value
        write_params(params, path)

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def run(self, *command: str, fails: bool = False, **environment: str) -> str:
        """Run a command and return its output, including standard error. With `fails`, its exit status must not be 0."""
        completed = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        status, output = completed.returncode, completed.stdout
        assert (status != 0) == fails, f"{' '.join(command)} exited with {status}:\n{output}"
        return output

    def module(self, name: str, *arguments: str, fails: bool = False, **environment: str) -> str:
        """Run `python -m name`."""
        return self.run(sys.executable, "-m", name, *arguments, fails=fails, **environment)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start `python -m` with these arguments; stdout is a pipe with its output, including standard error."""
        return subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=self.folder,
            env=self.environment | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def repro(self, *arguments: str) -> list[str]:
        """Run `dvc repro`; return the names of the stages that ran."""
        output = self.run("dvc", "repro", *arguments)
        return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]

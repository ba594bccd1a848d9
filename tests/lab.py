"""A project in the current folder whose stages run in this process, with one linear family, so that a version takes seconds.

Data, parameters and code are real and versioned: by git, by DVC's cache and in an MLflow registry.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from commentwise.comments.normalize import normalize
from commentwise.training import train
from commentwise.training.choice import baselines, evaluate, export, select
from commentwise.training.data import ingest, prepare
from commentwise.training.families import catalog
from commentwise.training.params import change_params
from commentwise.training.registry import publish
from tests.checkpoints import SAMPLE, write_checkpoint

ROOT = Path(__file__).parents[1]
FAMILY = "logreg"
ROWS = 500
REMOVED, RELABELLED = 60, 50
DATA = Path("data/comments.jsonl")
PIPELINE = """
stages:
  ingest: {cmd: 'true', deps: [data/comments.jsonl], outs: [data/raw/comments.parquet]}
  prepare: {cmd: 'true', deps: [data/raw/comments.parquet], params: [prepare], outs: [data/prepared]}
  evaluate: {cmd: 'true', deps: [data/prepared], metrics: [artifacts/evaluation/logreg/metrics.json: {cache: false}]}
  select: {cmd: 'true', deps: [data/prepared], metrics: [artifacts/selection.json: {cache: false}]}
  export: {cmd: 'true', deps: [data/prepared], outs: [artifacts/bundle]}
"""
IGNORED = """
/artifacts/*
!/artifacts/evaluation
!/artifacts/selection.json
/mlflow.db
/mlartifacts
/build
*.html
"""


class Lab:
    """The project in the current folder."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for role in ("AUTHOR", "COMMITTER"):
            monkeypatch.setenv(f"GIT_{role}_NAME", "Test")
            monkeypatch.setenv(f"GIT_{role}_EMAIL", "test@example.org")
        families = {FAMILY: catalog.families()[FAMILY]}
        monkeypatch.setattr(catalog, "families", lambda: families)
        shutil.copyfile(ROOT / "params.yaml", "params.yaml")
        sample = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()[:ROWS]]
        self.write(sample)
        write_checkpoint(Path("tiny-bert"), [row["text"] for row in sample])
        self.set(
            {
                "data.path": str(DATA),
                "candidates": [FAMILY],
                "families.bert.checkpoint": "./tiny-bert",
                "families.logreg.folds": 2,
                "families.logreg.C": [2],
                "evaluate.resamples": 200,
            }
        )
        Path("dvc.yaml").write_text(PIPELINE, encoding="utf-8")
        self.code("comments/normalize.py", "# the normalisation\n")
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], check=True)
        subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], check=True)
        Path(".gitignore").write_text(IGNORED, encoding="utf-8")

    @staticmethod
    def read() -> list[dict[str, Any]]:
        """The rows of the data file."""
        return [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Overwrite the data file."""
        DATA.parent.mkdir(exist_ok=True)
        DATA.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def set(self, values: dict[str, Any]) -> None:
        """Change parameters, by dotted name."""
        change_params(Path("params.yaml"), values)

    def code(self, path: str, content: str) -> None:
        """Write a file of the code."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(content, encoding="utf-8")

    def commit(self, message: str) -> None:
        """Commit everything that git keeps."""
        subprocess.run(["git", "add", "--all"], check=True)
        subprocess.run(["git", "commit", "--quiet", "--allow-empty", "--message", message], check=True)

    def run(self) -> None:
        """Run the pipeline, and have DVC keep its outputs."""
        for stage, arguments in (
            (ingest, []),
            (prepare, []),
            (baselines, []),
            (train, [FAMILY]),
            (evaluate, [FAMILY]),
            (select, []),
            (export, []),
        ):
            self._patch.setattr(sys, "argv", ["stage", *arguments])
            stage.main()
        with Repo() as repo:
            repo.commit(force=True)

    def publish(self, message: str) -> None:
        """Commit the changes, run the pipeline, publish the bundle, and commit what DVC recorded."""
        self.commit(message)
        self.run()
        self._patch.setattr(sys, "argv", ["commentwise publish"])
        publish.main()
        self.commit(f"{message}: results")

    def experiment(self, name: str, values: dict[str, Any]) -> None:
        """Run the pipeline with other parameters, save it as a DVC experiment, and go back to the last commit."""
        self.set(values)
        self._patch.setenv("DVC_EXP_NAME", name)
        self.run()
        self._patch.delenv("DVC_EXP_NAME")
        with Repo() as repo:
            repo.experiments.save(name=name)
            subprocess.run(["git", "checkout", "--quiet", "--", "."], check=True)
            repo.checkout(force=True)


def build(folder: Path) -> Path:
    """Write a lab with four versions and two experiments into an empty folder.

    Version 1; 2 with overwritten data: the first `REMOVED` rows are missing, the next `RELABELLED` have another label; 3 with
    another parameter; 4 with another preprocessing. Version 1 is champion.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        lab = Lab(patch)
        lab.publish("first")
        rows = lab.read()[REMOVED:]
        for row in rows[:RELABELLED]:
            row["label"] = "negative" if row["label"] == "positive" else "positive"
        lab.write(rows)
        lab.publish("overwritten")
        lab.set({"families.logreg.C": [0.5]})
        lab.publish("less regular")
        lab.code("comments/normalize.py", "# the normalisation, without capital letters\n")
        patch.setattr(prepare, "normalize", lambda text: normalize(text).lower())
        lab.publish("lower case")
        lab.experiment("mild", {"families.logreg.C": [0.001], "seed": 7})
        lab.experiment("strong", {"families.logreg.C": [20]})
    return folder

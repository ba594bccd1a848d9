"""The commands of docs/stories.md, run in their order in a new project with real git, DVC and MLflow."""

import csv
import json
import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from commentwise.training.registry.aliases import CHANGE_TAG, TIME
from tests.docs.markdown import ROOT, blocks, text_of

pytestmark = pytest.mark.slow

ROWS = 400
STORIES = text_of("docs/stories.md").split("\n## ")


def write_reviews(path: Path) -> None:
    """A company's file: comments of the sample, with columns and labels of its own."""
    lines = (ROOT / "data/sample/comments.jsonl").read_text(encoding="utf-8").splitlines()[:ROWS]
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["Review Text", "Rating"])
        table.writerows([row["text"], row["label"].title()] for row in map(json.loads, lines))


class Shell:
    """Runs the blocks of a document in one folder, which a block may change by `cd`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        program = folder / "bin" / "commentwise"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m commentwise "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "DVC", "COMM"))
        }
        self.environment = inherited | {
            "PATH": os.pathsep.join([str(program.parent), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "COLUMNS": "80",
            **{f"GIT_{role}_NAME": "Jane Doe" for role in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{role}_EMAIL": "jane@example.org" for role in ("AUTHOR", "COMMITTER")},
        }

    def run(self, block: str) -> str:
        """Run a block; return its output, including standard error."""
        script = f"set -ex\n{block}\nset +x\npwd > {self.folder}/pwd"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder if not (pwd := self.folder / "pwd").is_file() else pwd.read_text().strip(),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


def make_older(database: Path, days: int) -> None:
    """Move everything in the registry into the past."""
    with sqlite3.connect(database) as connection:
        connection.execute("update model_versions set creation_time = creation_time - ?", (days * 86_400_000,))
        changes = connection.execute(
            "select key from registered_model_tags where key like ?", (f"{CHANGE_TAG}%",)
        ).fetchall()
        for (key,) in changes:
            time = datetime.strptime(key.removeprefix(CHANGE_TAG), TIME).replace(tzinfo=UTC) - timedelta(days)
            new = f"{CHANGE_TAG}{time.strftime(TIME)}"
            connection.execute("update registered_model_tags set key = ? where key = ?", (new, key))


def test_the_stories_run(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    write_reviews(tmp_path / "reviews.csv")
    md5 = subprocess.run(["md5sum", tmp_path / "reviews.csv"], capture_output=True, text=True, check=True).stdout[:32]
    beginning, overwritten, last_month, last_tuesday, five = (list(blocks(story)) for story in STORIES)

    printed = shell.run(*beginning)
    assert "version 1 of 'commentwise' is champion: it is the first" in printed
    project = tmp_path / "my-model"

    overwrite, restore = overwritten
    shell.run(overwrite)
    printed = shell.run(restore)
    assert "data/reviews.csv changed since the last run: " in printed
    assert "git checkout data/reviews.csv.dvc && dvc checkout data/reviews.csv.dvc" in printed
    assert (project / "data/reviews.csv").read_bytes() == (tmp_path / "reviews.csv").read_bytes()
    assert "restored" in shell.run("git diff --quiet params.yaml dvc.lock data && echo restored").splitlines()

    printed = shell.run(*last_month)
    assert "by Jane Doe" in printed
    assert "reproduce: version 1 is reproduced" in printed

    make_older(project / "mlflow.db", 30)
    printed = shell.run(*last_tuesday)
    assert "the champion of 'commentwise' was version 1" in printed
    assert md5[:8] in printed

    printed = shell.run(*five)
    experiments = printed.split("+ commentwise experiments")[1].split("+ commentwise compare")[0]
    for value in ("0.01", "0.05", "0.1", "0.5", "1"):
        assert value in experiments
    assert max(map(len, experiments.splitlines())) <= 80
    assert "publish: version " in printed

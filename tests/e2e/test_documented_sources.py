"""The command lines that docs/pipeline.md gives for other sources, run as they are documented."""

import csv
import re
import shlex
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.project import ROOT, Project

WORDS = ("river", "tent", "cat", "chess", "bread")
LINES = re.findall(
    r"^    (commentwise run .*-S data\.path=my/.*)$", (ROOT / "docs/pipeline.md").read_text(), re.MULTILINE
)


def line_with(words: str) -> list[str]:
    (line,) = [line for line in LINES if words in line]
    return shlex.split(line)


def write_csv(path: Path, labels: list[str], **columns: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label", *columns])
        for number in range(30):
            row = [f"a {WORDS[number % 5]} number {number}", labels[number % len(labels)], *columns.values()]
            writer.writerow(row)


def ingested(project: Project, line: list[str]) -> pd.DataFrame:
    project.run(sys.executable, "-m", *line, "ingest")
    return pd.read_parquet(project.folder / project.layout.raw)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.create(tmp_path_factory.mktemp("sources"))


@pytest.mark.slow
def test_the_documented_label_maps(fresh: Project) -> None:
    write_csv(fresh.folder / "my/comments.csv", ["0", "1.0", "2"])
    table = ingested(fresh, line_with("{0: negative"))
    assert table["label"].value_counts().to_dict() == {"negative": 10, "neutral": 10, "positive": 10}
    fresh.run("git", "checkout", "--quiet", "params.yaml")
    write_csv(fresh.folder / "my/comments.csv", ["True", "False"])
    table = ingested(fresh, line_with("{false: no"))
    assert table["label"].value_counts().to_dict() == {"yes": 15, "no": 15}
    fresh.run("git", "checkout", "--quiet", "params.yaml")


@pytest.mark.slow
def test_the_documented_time_format(fresh: Project) -> None:
    write_csv(fresh.folder / "my/comments.csv", ["negative", "positive"], published_at="2/1/2021 10:00")
    table = ingested(fresh, line_with("data.time_format"))
    assert set(table["published_at"]) == {pd.Timestamp("2021-02-01T10:00:00Z")}
    fresh.run("git", "checkout", "--quiet", "params.yaml")


@pytest.mark.slow
def test_the_documented_splits(fresh: Project) -> None:
    for split in ("train", "unsupervised", "eval"):
        write_csv(fresh.folder / f"my/folder/{split}.csv", ["negative", "positive"])
    files = "".join(f"  - {{split: {split}, path: {split}.csv}}\n" for split in ("train", "unsupervised", "eval"))
    (fresh.folder / "my/folder/README.md").write_text(
        f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n"
    )
    table = ingested(fresh, line_with("+data.splits"))
    assert table["part"].value_counts().to_dict() == {"train": 30, "validation": 30}
    assert int(table["label"].isna().sum()) == 30
    fresh.run("git", "checkout", "--quiet", "params.yaml")

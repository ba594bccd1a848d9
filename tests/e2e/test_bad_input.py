"""Bad input of every kind for the real commands: an error of one line with a way out, and no changed file."""

import gzip
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from commentwise.training.project import Project as Layout
from tests.e2e.commands import refused, snapshot
from tests.project import Project

LAYOUT = Layout()
BUNDLE, RAW = LAYOUT.bundle, LAYOUT.raw

Damage = Callable[[Project], object]
Cases = dict[str, tuple[Damage, list[str]]]


def source(name: str, content: bytes, encoding: str = "utf-8") -> Damage:
    """Ingest this file instead."""

    def change(project: Project) -> None:
        (project.folder / "data" / name).write_bytes(content)
        project.set_params({"data.path": f"data/{name}", "data.encoding": encoding})

    return change


def params(**values: object) -> Damage:
    """Change settings. Keys are written like families__svm__folds."""
    return lambda project: project.set_params({name.replace("__", "."): value for name, value in values.items()})


def written(name: str | Path, content: bytes) -> Damage:
    return lambda project: (project.folder / name).write_bytes(content)


def edited(name: str | Path, change: Callable[[bytes], bytes]) -> Damage:
    return lambda project: written(name, change((project.folder / name).read_bytes()))(project)


def removed(name: str | Path) -> Damage:
    return lambda project: (project.folder / name).unlink()


def table(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Damage:
    """Change a table that an earlier stage wrote."""
    return lambda project: change(pd.read_parquet(project.folder / path)).to_parquet(project.folder / path, index=False)


def csv(*lines: str) -> bytes:
    return "\n".join(["text,label", *lines, ""]).encode()


def one_comment_left(comments: pd.DataFrame, label: str) -> pd.DataFrame:
    return comments.drop(comments.index[comments["label"] == label][1:])


UMLAUT = csv("für,neutral")
LONG = csv("fine,neutral", f"{'x' * 100_000},neutral")

INGEST: Cases = {
    "empty file": (source("x.csv", b""), ["data/x.csv has no CSV header", "must name the columns"]),
    "header only": (source("x.csv", csv()), ["data/x.csv has no rows", "set data.path"]),
    "missing column": (
        source("x.csv", b"comment,label\nhello,neutral\n"),
        ["data/x.csv has no column 'text'", "'comment', 'label'", "set data.columns.text"],
    ),
    "unknown label": (
        source("x.csv", csv("fine,neutral", "hmm,so-so")),
        ["data/x.csv, row 2: unknown label 'so-so'", "['negative', 'neutral', 'positive']", "data.label_map"],
    ),
    "100 KB comment": (
        source("x.csv", LONG),
        ["data/x.csv", "row 2: text is longer than data.max_characters = 10000", "raise data.max_rejected"],
    ),
    "NUL bytes": (
        source("x.csv", csv("fine,neutral", "a\0b,neutral")),
        ["data/x.csv", "row 2: text holds a NUL character", "fix the rows"],
    ),
    "other encoding": (
        source("x.csv", UMLAUT.decode().encode("latin-1")),
        ["data/x.csv: none of its 1 rows", "not UTF-8: perhaps cp1252; set the encoding (line 2)"],
    ),
    "unknown encoding": (
        source("x.csv", UMLAUT, encoding="utf-99"),
        ["'utf-99' is no known encoding", "data.encoding", "try utf-8"],
    ),
    "cut gzip": (
        source("x.csv.gz", gzip.compress(UMLAUT)[:-9]),
        ["data/x.csv.gz is a damaged compressed file", "fetch it again"],
    ),
    "no Parquet": (source("x.parquet", UMLAUT), ["data/x.parquet is not readable Parquet", "fetch it again"]),
    "missing file": (
        params(data__path="data/nowhere.csv"),
        ["cannot read data/nowhere.csv", "No such file", "name a file that can be read"],
    ),
    "unknown parameter": (params(sede=1), ["params.yaml: sede is not a setting", "known: seed"]),
    "parameter out of range": (params(prepare__test=1.5), ["prepare.test = 1.5", "less than 1"]),
    "no params.yaml": (removed("params.yaml"), ["no params.yaml in", "run the command in the project's folder"]),
}

PREPARE: Cases = {
    "one label only": (
        table(RAW, lambda comments: comments.assign(label="positive")),
        ["all 400 labelled comments are 'positive'", "two labels or more"],
    ),
    "fewer rows than parts": (
        table(RAW, lambda comments: comments.head(2)),
        ["2 labelled comments are too few for the 3 parts", "add labelled comments"],
    ),
    "one comment of a label": (
        table(RAW, lambda comments: one_comment_left(comments, "neutral")),
        ["label 'neutral': its 1 comments leave none for the", "part; add comments"],
    ),
    "comments overwritten": (written(RAW, b"garbage"), [f"{RAW} is not readable Parquet", "dvc checkout"]),
    "comments missing": (removed(RAW), [f"{RAW} is missing", "commentwise run"]),
}

LINEAR: Cases = {
    "fewer rows than folds": (
        table(LAYOUT.part("train"), lambda comments: one_comment_left(comments, "neutral")),
        ["label 'neutral' has 1 training comments", "folds = 2", "lower families.*.folds"],
    ),
    "split overwritten": (
        written(LAYOUT.part("test"), b"garbage"),
        ["data/prepared/test.parquet is not readable Parquet", "dvc checkout"],
    ),
    "checkpoint missing": (
        params(families__bert__checkpoint="./nowhere"),
        ["checkpoint './nowhere': no such folder", "hub id or 'embedded'"],
    ),
    "checkpoint without config.json": (
        removed("tiny-bert/config.json"),
        ["checkpoint './tiny-bert': the folder has no config.json", "name a saved transformers model"],
    ),
    "checkpoint with a damaged tokenizer": (
        written("tiny-bert/tokenizer.json", b"{"),
        ["checkpoint './tiny-bert' has no usable tokenizer", "name one that was saved with its tokenizer"],
    ),
}

PUBLISH: Cases = {
    "bundle cut": (
        edited(BUNDLE / "fp32.onnx", lambda content: content[:-9]),
        ["artifacts/bundle/fp32.onnx", "bytes instead of", "dvc checkout"],
    ),
    "bundle altered": (
        edited(BUNDLE / "tokenizer.json", lambda content: content.replace(b"good", b"goof")),
        ["artifacts/bundle/tokenizer.json was altered", "dvc checkout"],
    ),
    "bundle missing": (
        lambda project: shutil.rmtree(project.folder / BUNDLE),
        ["no bundle at artifacts/bundle", "commentwise run"],
    ),
}

TABLE = [
    pytest.param(arguments, *case, id=f"{arguments[0]}: {name}")
    for arguments, cases in (
        (["commentwise.training.data.ingest"], INGEST),
        (["commentwise.training.data.prepare"], PREPARE),
        (["commentwise.training.train", "logreg"], LINEAR),
        (["commentwise.training.registry.publish"], PUBLISH),
    )
    for name, case in cases.items()
]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody listens. It is bound, so that no other process can use it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize(("arguments", "damage", "expected"), TABLE)
def test_bad_input_is_an_error_of_one_line_and_changes_no_file(
    project: Project, arguments: list[str], damage: Damage, expected: list[str]
) -> None:
    damage(project)
    line = refused(project, sys.executable, "-m", *arguments)
    assert [words for words in expected if words not in line] == []


def test_a_100_kb_comment_among_good_ones_is_set_aside(project: Project) -> None:
    source("x.csv", csv(*(f"comment {number},neutral" for number in range(29))) + LONG.partition(b"\n")[2])(project)
    assert "30 labelled comments" in project.module("commentwise.training.data.ingest")
    rejects = pd.read_csv(project.folder / "data/raw/rejects.csv")
    assert rejects[["row", "reason"]].values.tolist() == [[31, "text is longer than data.max_characters = 10000"]]


def test_an_unreachable_hub(project: Project, closed_port: int, tmp_path: Path) -> None:
    project.set_params({"families.bert.checkpoint": "nobody/nothing"})
    hub = {"HF_ENDPOINT": f"http://127.0.0.1:{closed_port}", "HF_HOME": str(tmp_path / "hub")}
    line = refused(project, sys.executable, "-m", "commentwise.training.train", "logreg", **hub)
    assert "checkpoint 'nobody/nothing' is not a folder" in line
    assert "check the name and the network, or use 'embedded'" in line


@pytest.mark.slow
def test_an_unreachable_mlflow_server(project: Project, closed_port: int) -> None:
    server = f"http://127.0.0.1:{closed_port}"
    line = refused(project, sys.executable, "-m", "commentwise.training.registry.publish", MLFLOW_TRACKING_URI=server)
    assert f"MLflow at {server} does not answer" in line
    assert "start it, or correct MLFLOW_TRACKING_URI" in line


@pytest.mark.slow
def test_the_launcher_adds_no_line_to_the_error(project: Project) -> None:
    project.set_params({"families.bert.checkpoint": "./nowhere"})
    launch = ["accelerate", "launch", "--quiet", "--config_file", "accelerate_config.yaml"]
    line = refused(project, *launch, "-m", "commentwise.training.bert", "--no-track")
    assert "checkpoint './nowhere': no such folder" in line


def test_a_snapshot_includes_hidden_files_and_folders(project: Project) -> None:
    before = snapshot(project.folder)
    assert snapshot(project.folder) == before
    (project.folder / "data/raw/.comments-left.parquet").touch()
    (project.folder / "data/.prepared-left").mkdir()
    changed = set(snapshot(project.folder)) - set(before)
    assert changed == {"data/raw/.comments-left.parquet", "data/.prepared-left"}

"""Ingest: every format and encoding gives the same table, and bad rows are set aside with their number and reason."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from commentwise.comments.table import comments_schema, read_comments
from commentwise.errors import CommentwiseError
from commentwise.training.data import ingest as stage
from commentwise.training.data.ingest import ingest
from commentwise.training.project import Project
from commentwise.training.settings import Settings, load_settings
from tests.training.conftest import params, settings

Row = dict[str, Any]
PROJECT = Project()
RAW, RAW_REJECTS = PROJECT.raw, PROJECT.raw_rejects

ROWS: list[Row] = [
    {"text": 'says "so", twice\nover', "label": "negative", "part": "train"},
    {"text": "für die Straße 🚲, naïve", "label": "neutral", "part": "validation"},
    {"text": "  spaces stay  ", "label": "positive", "part": "test"},
    {"text": "nobody rated this", "label": None, "part": None},
]
ROWS = [
    {"comment_id": f"id{number}", "video_id": "v1", "published_at": f"2026-01-0{number}T10:00:00+00:00", **row}
    for number, row in enumerate(ROWS, start=1)
]


def as_csv(rows: list[Row]) -> bytes:
    return pd.DataFrame(rows).to_csv(index=False).encode()


def as_jsonl(rows: list[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_parquet(rows: list[Row]) -> bytes:
    return pd.DataFrame(rows).to_parquet(index=False)


FORMATS: dict[str, Callable[[list[Row]], bytes]] = {".csv": as_csv, ".jsonl": as_jsonl, ".parquet": as_parquet}


def write_rows(rows: list[Row], name: str = "comments.jsonl") -> Path:
    path = Path(name)
    path.write_bytes(as_jsonl(rows))
    return path


def read(path: Path | str, **changes: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    return ingest(PROJECT, settings(data__path=str(path), **changes))


def texts(count: int) -> list[Row]:
    return [{"text": f"comment {number}", "label": "neutral"} for number in range(count)]


def run_stage(**changes: Any) -> Settings:
    """Run the command's main function in the current folder."""
    Path("params.yaml").write_text(yaml.safe_dump(params(**changes)), encoding="utf-8")
    stage.main()
    return load_settings(PROJECT.params)


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzipped"])
@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_table(work: Path, kind: str, zipped: bool) -> None:
    content = FORMATS[kind](ROWS)
    path = work / f"comments{kind}{'.gz' if zipped else ''}"
    path.write_bytes(gzip.compress(content) if zipped else content)
    table, rejects = read(path)
    assert rejects.empty
    assert table["published_at"].tolist() == [pd.Timestamp(row["published_at"]) for row in ROWS]
    for column in ("comment_id", "video_id", "text", "label", "part"):
        assert table[column].astype(object).where(table[column].notna(), None).tolist() == [row[column] for row in ROWS]
    comments_schema(["negative", "neutral", "positive"], 100).validate(table)


ENCODINGS = {
    "utf-16": ("utf-16", "utf-16"),
    "utf-16 without a mark": ("utf-16-le", "utf-16-le"),
    "latin-1": ("latin-1", "latin-1"),
    "byte-order mark": ("utf-8-sig", "utf-8"),
    "byte-order mark, other spelling": ("utf-8-sig", "UTF8"),
}


@pytest.mark.parametrize("kind", [".csv", ".jsonl"])
@pytest.mark.parametrize(("encoding", "setting"), ENCODINGS.values(), ids=ENCODINGS.keys())
def test_encodings(work: Path, kind: str, encoding: str, setting: str) -> None:
    content = FORMATS[kind]([{"text": "für die Straße", "label": "neutral"}])
    path = work / f"comments{kind}"
    path.write_bytes(content.decode().encode(encoding))
    table, _ = read(path, data__encoding=setting)
    assert table["text"].tolist() == ["für die Straße"]


def test_columns_and_labels_are_mapped(work: Path) -> None:
    rows: list[Row] = [{"body": f"text {label}", "stars": label, "key": f"k{label}"} for label in (0, 1, 2)]
    table, _ = read(
        write_rows([*rows, {"body": "mapped by name", "stars": " positive ", "key": "k3"}]),
        data__columns__text="body",
        data__columns__label="stars",
        data__columns__comment_id="key",
        data__label_map={"0": "negative", "1": "neutral", "2": "positive"},
    )
    assert table["text"].tolist() == ["text 0", "text 1", "text 2", "mapped by name"]
    assert table["label"].tolist() == ["negative", "neutral", "positive", "positive"]
    assert table["comment_id"].tolist() == ["k0", "k1", "k2", "k3"]


def test_a_folder_is_read_with_datasets_including_splits_and_class_names(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", work / "cache")
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "neutral", "positive"])}
    )
    (work / "set").mkdir()
    for part, label in (("train", 0), ("validation", 2), ("test", -1)):
        columns = {"text": [f"a {part} text"], "label": [label]}
        datasets.Dataset.from_dict(columns, features=features).to_parquet(work / "set" / f"{part}.parquet")
    table, _ = read("set", data__label_map={"bad": "negative"})
    table = table.set_index("part").sort_index()
    assert table["text"].to_dict() == {part: f"a {part} text" for part in ("test", "train", "validation")}
    assert table["label"].fillna("none").to_dict() == {"test": "none", "train": "negative", "validation": "positive"}


def test_generated_ids_are_unique_and_independent_of_the_order_of_rows(work: Path) -> None:
    rows = [*texts(5), *texts(5), *texts(2)]

    def ids(order: list[Row]) -> list[tuple[str, str]]:
        table, _ = read(write_rows(order))
        return sorted(zip(table["comment_id"], table["text"], strict=True))

    assert len({name for name, _ in ids(rows)}) == len(rows)
    assert ids(rows) == ids(rows[::-1])


def test_unlabelled_rows_are_kept(work: Path) -> None:
    rows: list[Row] = [
        {"text": "one", "label": "neutral"},
        {"text": "two", "label": ""},
        {"text": "three", "label": None},
    ]
    table, rejects = read(write_rows([*rows, {"text": "four"}]))
    assert table["label"].isna().tolist() == [False, True, True, True]
    assert rejects.empty


UNREADABLE = {
    "no rows": ("x.jsonl", b"", "utf-8", "has no rows: set data.path to a file with comments"),
    "no JSON": ("x.jsonl", b"[1]\n", "utf-8", "has no column 'text' (it has none): set data.columns.text"),
    "utf-16 as utf-8": (
        "x.csv",
        "text,label".encode("utf-16"),
        "utf-8",
        "is not utf-8 ('utf-8' codec can't decode byte",
    ),
    "utf-16 without a mark": ("x.csv", "text,label".encode("utf-16-le"), "utf-16", "e.g. latin-1, utf-16 or utf-16-le"),
    "no gzip": ("x.csv.gz", b"text,label", "utf-8", "is a damaged gzip file"),
    "no gzip, Parquet": ("x.parquet.gz", b"text,label", "utf-8", "is a damaged gzip file"),
    "damaged gzip": ("x.csv.gz", gzip.compress(b"text,label")[:10] + bytes(20), "utf-8", "is a damaged gzip file"),
    "damaged column": (
        "x.parquet",
        as_parquet(ROWS)[:4] + bytes(400) + as_parquet(ROWS)[404:],
        "utf-8",
        "is not readable Parquet",
    ),
    "unknown kind": (
        "x.xlsx",
        b"text,label",
        "utf-8",
        "nor a file ending in .csv, .jsonl, .parquet (or these with .gz)",
    ),
}


@pytest.mark.parametrize(("name", "content", "encoding", "problem"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_file_is_an_error_of_one_line(
    work: Path, name: str, content: bytes, encoding: str, problem: str
) -> None:
    (work / name).write_bytes(content)
    with pytest.raises(CommentwiseError) as refused:
        read(name, data__encoding=encoding)
    assert name in str(refused.value)
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_os_error_is_an_error_of_one_line(work: Path) -> None:
    (work / "loop.csv").symlink_to("loop.csv")
    with pytest.raises(CommentwiseError, match=r"'loop\.csv': Too many levels of symbolic links; name a file"):
        read("loop.csv")


def test_a_folder_without_data_is_an_error_of_one_line(work: Path) -> None:
    (work / "empty").mkdir()
    with pytest.raises(CommentwiseError, match=r"^dataset 'empty' could not be loaded \(.*\): check the name"):
        read("empty")


REJECTS: dict[str, tuple[str, str, str]] = {
    "blank text": ('{"text": " \\t", "label": "neutral"}', "text is blank", " \t"),
    "empty text": ('{"text": "", "label": "neutral"}', "text is missing", ""),
    "no text": ('{"label": "neutral"}', "text is missing", ""),
    "NUL": ('{"text": "a\\u0000b", "label": "neutral"}', "text holds a NUL character", "a\0b"),
    "too long": (
        json.dumps({"text": "x" * 10_001, "label": "neutral"}),
        "text is longer than data.max_characters = 10000",
        "x" * 200,
    ),
    "torn line": ('{"text": "tor', "text is missing", ""),
    "line that is no object": ("[1, 2]", "text is missing", ""),
    "brackets without end": ("[" * 100_000, "text is missing", ""),
    "duplicate id": ('{"text": "again", "comment_id": "first"}', "comment_id stands in an earlier row", "again"),
    "blank id": ('{"text": "who", "comment_id": " "}', "comment_id is blank", "who"),
    "bad part": ('{"text": "where", "part": "dev"}', "part is none of train, validation, test", "where"),
    "no time": (
        '{"text": "when", "published_at": "yesterday"}',
        "published_at is not an ISO 8601 time",
        "when",
    ),
}


@pytest.mark.parametrize(("line", "reason", "text"), REJECTS.values(), ids=REJECTS.keys())
def test_a_bad_row_is_set_aside_with_its_number_and_reason(work: Path, line: str, reason: str, text: str) -> None:
    rows = [{"text": "first", "comment_id": "first"}, *texts(28)]
    path = write_rows(rows)
    path.write_bytes(as_jsonl(rows[:9]) + line.encode() + b"\n" + as_jsonl(rows[9:]))
    table, rejects = read(path)
    assert table["text"].tolist() == [row["text"] for row in rows]
    assert rejects.to_dict("records") == [{"row": 10, "reason": reason, "text": text}]


def test_a_row_with_several_faults_is_set_aside_once(work: Path) -> None:
    table, rejects = read(write_rows([{"text": " ", "published_at": "never", "part": "dev"}, *texts(20)]))
    assert len(table) == 20
    assert rejects["row"].tolist() == [1]


def test_the_stage_writes_the_table_and_the_rejects(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_rows([{"label": "neutral"}, *texts(24), {"text": "no label"}])
    used = run_stage(data__path=str(path))
    assert RAW_REJECTS.read_text(encoding="utf-8") == "row,reason,text\n1,text is missing,\n"
    assert len(read_comments(RAW, comments_schema(used.labels, used.data.max_characters))) == 25
    assert "25 comments" in (printed := capsys.readouterr().out)
    assert "1 of them unlabelled; 1 rows set aside" in printed


def test_ingesting_twice_writes_identical_files(work: Path) -> None:
    path = write_rows(ROWS)
    run_stage(data__path=str(path))
    first = RAW.read_bytes()
    run_stage(data__path=str(path))
    assert RAW.read_bytes() == first


def test_more_bad_rows_than_max_rejected_are_an_error(work: Path) -> None:
    blank: list[Row] = [{"text": " ", "label": "neutral"}]
    _, rejects = read(write_rows([*blank, *texts(19)]), data__max_rejected=0.05)
    assert len(rejects) == 1
    with pytest.raises(CommentwiseError, match=r"1 of 19 rows are bad.*\(row 1: text is blank\): fix the rows"):
        read(write_rows([*blank, *texts(18)]), data__max_rejected=0.05)

"""Ingest: every format and encoding gives the same table, and bad rows are set aside with their number and reason."""

import gzip
import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from commentwise.comments.table import COLUMNS, comments_schema, read_comments
from commentwise.errors import CommentwiseError
from commentwise.training.data import ingest as stage
from commentwise.training.data.ingest import ingest
from commentwise.training.params import write_params
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
    ingested = ingest(PROJECT, settings(data__path=str(path), **changes))
    return ingested.table, ingested.rejects


def warnings(path: Path | str, **changes: Any) -> list[str]:
    return ingest(PROJECT, settings(data__path=str(path), **changes)).warnings


def texts(count: int) -> list[Row]:
    return [{"text": f"comment {number}", "label": "neutral"} for number in range(count)]


def run_stage(**changes: Any) -> Settings:
    """Run the command's main function in the current folder."""
    write_params(params(**changes), PROJECT.params)
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
    "utf-16": ("utf-16", "utf-8"),
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


def test_the_counts_of_the_line_add_up(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad: list[Row] = [
        {"text": " "},
        {"text": "a\0"},
        {},
        {"text": ["x"]},
        {"text": "text", "label": "label"},
        {"text": " "},
    ]
    bad += [{"text": {}}, {"text": "y" * 101}]
    path = write_rows([*bad, *texts(100), *({"text": f"unlabelled {number}"} for number in range(7))])
    run_stage(data__path=str(path), data__max_characters=100, data__max_rejected=0.1)
    line = capsys.readouterr().out
    counts = re.search(r"(\d+) rows.*: (\d+) labelled comments, (\d+) unlabelled, (\d+) rows set", line)
    assert counts
    came, labelled, unlabelled, rejected = map(int, counts.groups())
    assert (came, labelled, unlabelled, rejected) == (115, 100, 7, 8)
    assert sum(map(int, re.findall(r"(\d+) (?:text|column|for other)", line))) == rejected
    assert "2 text is blank (first row 1)" in line
    assert "3 for other reasons" in line
    assert len(pd.read_csv(RAW_REJECTS)) == rejected


LABEL_MAP = {0: "negative", 1.0: "neutral", "2": "positive"}
LABELS: dict[str, tuple[list[Any], dict[Any, str], list[str]]] = {
    "numbers": ([0, 1, 2], LABEL_MAP, ["negative", "neutral", "positive"]),
    "fractions of numbers": ([0.0, "1.0", "2.00"], LABEL_MAP, ["negative", "neutral", "positive"]),
    "below zero": ([-1, "-1.0"], {-1: "negative"}, ["negative", "negative"]),
    "booleans": ([True, "false", "TRUE"], {True: "positive", False: "negative"}, ["positive", "negative", "positive"]),
    "case": (["NEGATIVE", " Neutral"], {}, ["negative", "neutral"]),
    "case of the map": (["GOOD", "good"], {"Good": "positive"}, ["positive", "positive"]),
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("values", "label_map", "labels"), LABELS.values(), ids=LABELS.keys())
def test_label_values_of_every_type(
    work: Path, kind: str, values: list[Any], label_map: dict[Any, str], labels: list[str]
) -> None:
    if kind == ".parquet" and len({type(value) for value in values}) > 1:
        values = [str(value) for value in values]  # a column has one type
    path = work / f"comments{kind}"
    path.write_bytes(FORMATS[kind]([{"text": f"comment {row}", "label": value} for row, value in enumerate(values)]))
    table, _ = read(path, data__label_map=label_map)
    assert table["label"].tolist() == labels


def test_labels_are_compared_in_one_unicode_form(work: Path) -> None:
    composed, decomposed = "négatif", unicodedata.normalize("NFD", "négatif")
    assert composed != decomposed
    for written, known in ((composed, decomposed), (decomposed, composed)):
        table, _ = read(write_rows([{"text": "bof", "label": written}]), labels=[known, "positif"])
        assert table["label"].tolist() == [composed]


def test_case_counts_where_labels_differ_in_case_alone(work: Path) -> None:
    rows: list[Row] = [{"text": "a", "label": "US"}, {"text": "b", "label": "us"}]
    table, _ = read(write_rows(rows), labels=["US", "us"])
    assert table["label"].tolist() == ["US", "us"]
    with pytest.raises(CommentwiseError, match=r"row 3: unknown label 'Us' \(1 such rows\)"):
        read(write_rows([*rows, {"text": "c", "label": "Us"}]), labels=["US", "us"])


TIME = pd.Timestamp("2021-02-01T10:00:00Z")
TIMES: dict[str, tuple[Any, str]] = {
    "ISO with a zone": ("2021-02-01T11:00:00+01:00", "auto"),
    "ISO without a zone": ("2021-02-01 10:00:00", "auto"),
    "seconds": (1612173600, "auto"),
    "seconds as text": ("1612173600", "auto"),
    "seconds as a float": (1612173600.0, "auto"),
    "milliseconds": (1612173600000, "auto"),
    "milliseconds as text": ("1612173600000", "auto"),
    "microseconds": (1612173600000000, "auto"),
    "seconds by setting": (1612173600, "epoch_s"),
    "milliseconds by setting": ("1612173600000", "epoch_ms"),
    "US": ("2/1/2021 10:00", "%m/%d/%Y %H:%M"),
    "German": ("01.02.2021 10:00", "%d.%m.%Y %H:%M"),
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("value", "form"), TIMES.values(), ids=TIMES.keys())
def test_times_in_several_forms(work: Path, kind: str, value: Any, form: str) -> None:
    path = work / f"comments{kind}"
    rows: list[Row] = [{"text": "a", "label": "neutral", "published_at": value}]
    path.write_bytes(FORMATS[kind](rows))
    table, _ = read(path, data__time_format=form)
    assert table["published_at"].tolist() == [TIME]
    assert warnings(path, data__time_format=form) == []


def test_times_of_parquet_are_read_in_any_format(work: Path) -> None:
    Path("x.parquet").write_bytes(as_parquet([{"text": "a", "label": "neutral", "published_at": TIME}]))
    assert read("x.parquet", data__time_format="%d.%m.%Y")[0]["published_at"].tolist() == [TIME]


@pytest.mark.parametrize("value", ["1/2/2024 10:00", "yesterday", "now", 12, -5, True, [1], {"seconds": 1}])
def test_an_unreadable_time_costs_no_row(work: Path, value: Any) -> None:
    rows = [{"text": f"comment {row}", "label": "neutral", "published_at": value} for row in range(3)]
    path = write_rows([*rows, {"text": "last", "label": "neutral", "published_at": "2021-02-01T10:00:00Z"}])
    table, rejects = read(path)
    assert table["published_at"].isna().tolist() == [True, True, True, False]
    assert rejects.empty
    (warning,) = warnings(path)
    assert "column 'published_at': 3 of 4 values are left empty" in warning
    assert "in row 1" in warning
    assert "data.time_format" in warning


IDS: dict[str, list[Any]] = {
    "repeated": ["a", "a", "b", "a"],
    "rounded text": ["1.46781E+18"] * 3,
    "rounded floats": [1.46781e18, 1.46781e18, 1.5e18],
    "blank": [" ", "", None],
    "lists": [["a"], ["b"]],
}


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS.keys())
def test_ids_cost_no_row(work: Path, ids: list[Any]) -> None:
    path = write_rows([{"text": f"comment {row}", "label": "neutral", "comment_id": i} for row, i in enumerate(ids)])
    table, rejects = read(path)
    assert (len(table), len(rejects)) == (len(ids), 0)
    assert table["comment_id"].is_unique


def test_changed_ids_are_told_in_one_line(work: Path) -> None:
    rows = [{"text": f"comment {row}", "label": "neutral", "comment_id": "1.46781E+18"} for row in range(3)]
    (warning,) = warnings(write_rows([*rows, {"text": "other", "label": "neutral", "comment_id": "b"}]))
    assert "column 'comment_id': 3 of 4 rows share an id with another row, e.g. '1.46781E+18'" in warning
    assert "3 look rounded" in warning
    assert "data.columns.comment_id" in warning


def test_unique_ids_stay_as_they_are(work: Path) -> None:
    ids: list[Any] = ["abc", 123, 123456789012345678, 7.0, "8.0"]
    path = write_rows([{"text": f"comment {row}", "label": "neutral", "comment_id": i} for row, i in enumerate(ids)])
    assert read(path)[0]["comment_id"].tolist() == ["abc", "123", "123456789012345678", "7", "8"]
    assert warnings(path) == []


EXTRAS: Row = {
    "language": "de",
    "parent_id": "p1",
    "like_count": 12,
    "author": "3f2a",
    "fetched_at": "2026-01-01T10:00:00Z",
    "source": "youtube",
}


@pytest.mark.parametrize("kind", FORMATS)
def test_optional_columns_that_occur_are_kept(work: Path, kind: str) -> None:
    path = work / f"comments{kind}"
    path.write_bytes(FORMATS[kind]([{"text": "a", "label": "neutral", **EXTRAS}, {"text": "b", "label": "neutral"}]))
    run_stage(data__path=str(path))
    table = read_comments(RAW, comments_schema(["negative", "neutral", "positive"], 10_000))
    assert list(table.columns) == [*COLUMNS, *EXTRAS]
    expected = {**EXTRAS, "fetched_at": pd.Timestamp(EXTRAS["fetched_at"])}
    assert table.loc[0, list(EXTRAS)].to_dict() == expected
    assert table.loc[1, list(EXTRAS)].isna().all()


def test_unreadable_optional_values_are_left_empty_with_one_warning_per_column(work: Path) -> None:
    rows: list[Row] = [
        {"text": "a", "label": "neutral", "like_count": 3, "author": "x"},
        {"text": "b", "label": "neutral", "like_count": "1.2K", "author": {"name": "y"}},
    ]
    table, rejects = read(write_rows(rows))
    assert rejects.empty
    assert table["like_count"].tolist() == [3, pd.NA]
    assert table["author"].isna().tolist() == [False, True]
    likes, author = warnings(write_rows(rows))
    assert "column 'like_count': 1 of 2 values are left empty; the first, '1.2K' in row 2" in likes
    assert "column 'author': 1 of 2 values are left empty" in author


def test_a_column_named_null_is_not_read(work: Path) -> None:
    table, _ = read(write_rows([{"text": "a", "label": "neutral", "author": "x"}]), data__columns__author=None)
    assert "author" not in table


@pytest.mark.parametrize(("column", "holds"), [("text", ["a", "list"]), ("label", {"an": "object"})])
def test_a_column_of_lists_or_objects_is_refused_by_name(work: Path, column: str, holds: Any) -> None:
    rows = [{**row, column: holds} for row in texts(3)]
    with pytest.raises(CommentwiseError, match=rf"column '{column}' holds an? \w+: set data.columns.{column}"):
        read(write_rows(rows), data__max_rejected=1)


def test_binary_text_is_decoded(work: Path) -> None:
    rows: list[Row] = [{"text": "für".encode(), "label": b"neutral"} for _ in range(30)]
    rows[4]["text"] = b"f\xfcr"
    Path("x.parquet").write_bytes(as_parquet(rows))
    table, rejects = read("x.parquet")
    assert set(table["text"]) == {"für"}
    assert rejects[["row", "reason"]].values.tolist() == [[5, "column 'text' holds bytes that are not UTF-8"]]


def test_parts_are_mapped(work: Path) -> None:
    rows = [{**row, "part": part} for row, part in zip(texts(4), ["Train", "dev", "extra", None], strict=True)]
    table, _ = read(write_rows(rows), data__splits={"extra": "unlabelled"})
    assert table["part"].fillna("none").tolist() == ["train", "validation", "none", "none"]
    assert table["label"].fillna("none").tolist() == ["neutral", "neutral", "none", "neutral"]
    with pytest.raises(CommentwiseError, match=r"row 3: unknown part 'extra': map it to .* with data\.splits"):
        read(write_rows(rows))


def write_splits(folder: Path, names: Sequence[str]) -> None:
    folder.mkdir()
    for name in names:
        rows = [{"comment_id": str(row), "text": f"{name} {row}", "label": "neutral"} for row in range(5)]
        (folder / f"{name}.jsonl").write_bytes(as_jsonl(rows))
    files = "".join(f"  - {{split: {name}, path: {name}.jsonl}}\n" for name in names)
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: mine\n  data_files:\n{files}---\n")


@pytest.fixture
def datasets_cache(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", work / "cache")


@pytest.mark.usefixtures("datasets_cache")
def test_splits_of_a_folder_are_mapped_and_their_ids_made_unique(work: Path) -> None:
    write_splits(work / "set", ["train", "test", "unsupervised", "eval"])
    splits = {"unsupervised": "unlabelled", "eval": "validation"}
    table, rejects = read("set", data__splits=splits, data__hub_config="mine")
    assert rejects.empty
    assert table["comment_id"].is_unique
    counts = table.fillna({"part": "none", "label": "none"}).groupby(["part", "label"]).size().to_dict()
    assert counts == {
        ("none", "none"): 5,
        ("test", "neutral"): 5,
        ("train", "neutral"): 5,
        ("validation", "neutral"): 5,
    }


@pytest.mark.usefixtures("datasets_cache")
def test_an_unknown_split_is_an_error_that_names_the_setting(work: Path) -> None:
    write_splits(work / "set", ["train", "unsupervised"])
    with pytest.raises(CommentwiseError, match=r"unknown split 'unsupervised': .* with data\.splits"):
        read("set")
    with pytest.raises(CommentwiseError, match="could not be loaded"):
        read("set", data__hub_config="theirs")


UNREADABLE = {
    "no rows": ("x.jsonl", b"", "utf-8", "has no rows: set data.path to a file with comments"),
    "no JSON": ("x.jsonl", b"1\n", "utf-8", "none of its 1 rows can be read (row 1: no JSON object"),
    "utf-16-le as utf-8": ("x.csv", "text,label".encode("utf-16-le"), "utf-8", "to utf-16-le, which is the likeliest"),
    "cp1252 as latin-1": ("x.csv", b"text,label\ndon\x92t,neutral\n", "latin-1", "to cp1252, which is the likeliest"),
    "header in cp1252": ("x.csv", b"text,\xe9\n", "utf-8", "to cp1252, which is the likeliest"),
    "utf-16 without a mark": (
        "x.csv",
        "text,label".encode("utf-16-le"),
        "utf-16",
        "set its encoding to utf-16-le or utf-16-be",
    ),
    "no Parquet": ("x.parquet.gz", b"text,label", "utf-8", "is not readable Parquet"),
    "damaged gzip": (
        "x.csv.gz",
        gzip.compress(b"text,label")[:10] + bytes(20),
        "utf-8",
        "is a damaged compressed file",
    ),
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
        "does not end in .csv, .tsv, .jsonl, .ndjson, .json, .parquet",
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
    with pytest.raises(
        CommentwiseError, match=r"cannot read loop\.csv \(Too many levels of symbolic links\): name a file"
    ):
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
    "torn line": ('{"text": "tor', "invalid JSON", '{"text": "tor'),
    "line that is no object": ("[1, 2]", "no JSON object: a JSON list instead of an object", "[1, 2]"),
    "brackets without end": ("[" * 100_000, "invalid JSON", "[" * 200),
    "list for a text": ('{"text": ["a"], "label": "neutral"}', "column 'text' holds a list", ""),
    "object for a label": ('{"text": "a", "label": {"is": "good"}}', "column 'label' holds an object", "a"),
    "header": ('{"text": "text", "label": "label"}', "the header again", "text"),
}


@pytest.mark.parametrize(("line", "reason", "text"), REJECTS.values(), ids=REJECTS.keys())
def test_a_bad_row_is_set_aside_with_its_number_and_reason(work: Path, line: str, reason: str, text: str) -> None:
    rows = [{"text": "first", "comment_id": "first"}, *texts(28)]
    path = write_rows(rows)
    path.write_bytes(as_jsonl(rows[:9]) + line.encode() + b"\n" + as_jsonl(rows[9:]))
    table, rejects = read(path)
    assert table["text"].tolist() == [row["text"] for row in rows]
    assert rejects[["row", "text"]].values.tolist() == [[10, text]]
    assert rejects["reason"][0].startswith(reason)


def test_a_row_with_several_faults_is_set_aside_once(work: Path) -> None:
    table, rejects = read(write_rows([{"text": " ", "label": ["x"], "part": []}, *texts(20)]))
    assert len(table) == 20
    assert rejects["row"].tolist() == [1]


def test_the_stage_writes_the_table_and_the_rejects(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_rows([{"label": "neutral"}, *texts(24), {"text": "no label"}])
    used = run_stage(data__path=str(path))
    assert RAW_REJECTS.read_text(encoding="utf-8") == "row,reason,text\n1,text is missing,\n"
    assert len(read_comments(RAW, comments_schema(used.labels, used.data.max_characters))) == 25
    assert capsys.readouterr().out == (
        f"ingest: 26 rows from {path}: 24 labelled comments, 1 unlabelled, "
        f"1 rows set aside in {RAW_REJECTS}: 1 text is missing (row 1)\n"
    )


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
    # Where no row is usable, setting the bad ones aside is not offered as a way out.
    with pytest.raises(CommentwiseError, match=r"2 of 2 rows are bad, so none is left \(.*\): fix the rows$"):
        read(write_rows(2 * blank), data__max_rejected=1)

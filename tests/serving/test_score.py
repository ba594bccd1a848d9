"""The command `commentwise score`, run as a process on the tiny bundle."""

import gzip
import json
import os
import pty
import re
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commentwise.models.bundle import Classifier, bundle_id
from tests.serving.process import PATIENCE, ROOT
from tests.serving.scoring import (
    ANSWERS,
    MANY,
    TEXTS,
    Rows,
    assert_refused,
    rejects_of,
    rows_of,
    score,
    spawn,
    write_rows,
)
from tests.tiny import write_tiny_manifest


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("in.csv", "out.jsonl"),
        ("in.csv.gz", "out.csv"),
        ("in.jsonl", "out.csv.gz"),
        ("in.jsonl.gz", "out.parquet"),
        ("in.parquet", "out.jsonl.gz"),
    ],
)
def test_every_format_round_trips(tiny_bundle: Path, tmp_path: Path, source: str, target: str) -> None:
    write_rows(tmp_path / source, [{"id": str(i), "comment": text, "more": "é"} for i, text in enumerate(TEXTS)])
    ended = score(tmp_path, tiny_bundle, source, "-o", target, "--column", "comment")
    assert (ended.code, ended.output) == (0, b"")
    rows = rows_of(tmp_path / target)
    assert [list(row) for row in rows] == [["id", "comment", "more", *ANSWERS]] * len(TEXTS)
    assert [(row["id"], row["comment"], row["more"]) for row in rows] == [(str(i), t, "é") for i, t in enumerate(TEXTS)]
    for row, expected in zip(rows, Classifier(tiny_bundle).predict(TEXTS), strict=True):
        assert row["label"] == expected.label
        assert float(row["confidence"]) == pytest.approx(expected.probabilities[expected.label], abs=1e-6)
        shares = {label: float(row[f"p_{label}"]) for label in expected.probabilities}
        assert shares == pytest.approx(expected.probabilities, abs=1e-6)
        assert row["bundle"] == bundle_id(tiny_bundle)[:12]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source, target])


def test_the_last_line_is_a_summary(tiny_bundle: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "in.jsonl", [{"text": text} for text in [*TEXTS, ""]])
    ended = score(tmp_path, tiny_bundle, "in.jsonl", "-o", "out.csv")
    figures = r"scored 6 of 7 rows in [\d.]+ s \([\d,]+ comments/s\): negative 2, neutral 1, positive 3; "
    assert re.fullmatch(
        figures + r"1 set aside \(1 no text\) in out.csv.rejects.jsonl; written to out.csv\n", ended.errors
    )


PARQUET = pa.table(
    {
        "text": pa.array(TEXTS[:2]),
        "likes": pa.array([1, None], pa.int16()),
        "at": pa.array([datetime(2024, 5, 1, 12, tzinfo=UTC)] * 2, pa.timestamp("ms", "UTC")),
        "price": pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)),
        "tags": pa.array([["a", "b"], []], pa.list_(pa.string())),
        "kind": pa.array(["x", "y"]).dictionary_encode(),
        "blob": pa.array([b"\x00\xff", b""]),
    }
)


def test_parquet_keeps_its_types(tiny_bundle: Path, tmp_path: Path) -> None:
    pq.write_table(PARQUET, tmp_path / "in.parquet")
    assert score(tmp_path, tiny_bundle, "in.parquet", "-o", "out.parquet").code == 0
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.select(PARQUET.column_names) == PARQUET
    assert table.schema.field("p_positive").type == pa.float64()


def test_parquet_values_become_text_elsewhere(tiny_bundle: Path, tmp_path: Path) -> None:
    pq.write_table(PARQUET, tmp_path / "in.parquet")
    assert score(tmp_path, tiny_bundle, "in.parquet", "-o", "out.csv").code == 0
    first, second = rows_of(tmp_path / "out.csv")
    time = "2024-05-01T12:00:00+00:00"
    assert list(first.values())[1:7] == ["1", time, "1.50", '["a", "b"]', "x", "00ff"]
    assert list(second.values())[1:7] == ["", time, "", "[]", "y", ""]
    assert score(tmp_path, tiny_bundle, "in.parquet", "-o", "out.jsonl").code == 0
    first, second = rows_of(tmp_path / "out.jsonl")
    assert list(first.values())[1:7] == [1, time, "1.50", ["a", "b"], "x", "00ff"]
    assert list(second.values())[1:7] == [None, time, None, [], "y", ""]


def test_json_values_get_a_parquet_type(tiny_bundle: Path, tmp_path: Path) -> None:
    rows: Rows = [
        {"text": "good", "integer": 1, "share": 1, "mixed": 1, "nested": {"a": [1]}, "flag": True, "nothing": None}
    ] * 2000
    rows.append({"text": "good", "integer": 2, "share": 1.5, "mixed": "x", "nested": {"b": 2}, "flag": None})
    write_rows(tmp_path / "in.jsonl", rows)
    assert score(tmp_path, tiny_bundle, "in.jsonl", "-o", "out.parquet").code == 0
    table = pq.read_table(tmp_path / "out.parquet")
    assert [
        str(table.schema.field(name).type) for name in ("integer", "share", "mixed", "nested", "flag", "nothing")
    ] == [
        "int64",
        "double",
        "string",
        "string",
        "bool",
        "null",
    ]
    last = table.to_pylist()[-1]
    assert (last["integer"], last["share"], last["mixed"], last["nested"], last["flag"]) == (
        2,
        1.5,
        "x",
        '{"b": 2}',
        None,
    )
    assert table["mixed"][0].as_py() == "1"


COMMON: dict[str, tuple[pa.Array, pa.Array, pa.DataType]] = {
    "int64 and double": (pa.array([5]), pa.array([4.5]), pa.float64()),
    "nothing and int64": (pa.nulls(1), pa.array([5]), pa.int64()),
    "int32 and int64": (pa.array([1], pa.int32()), pa.array([2**40]), pa.int64()),
    "int64 beyond double": (pa.array([2**60 + 1]), pa.array([0.5]), pa.string()),
}


@pytest.mark.parametrize(("first", "second", "common"), COMMON.values(), ids=COMMON.keys())
def test_parquet_columns_get_their_common_type(
    tiny_bundle: Path, tmp_path: Path, first: pa.Array, second: pa.Array, common: pa.DataType
) -> None:
    pq.write_table(pa.table({"text": ["good"], "n": first}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": ["bad"], "n": second}), tmp_path / "b.parquet")
    for names in (["a.parquet", "b.parquet"], ["b.parquet", "a.parquet"]):
        assert score(tmp_path, tiny_bundle, *names, "-o", "out.parquet", "--overwrite").code == 0
        table = pq.read_table(tmp_path / "out.parquet")
        assert table.schema.field("n").type == common
        values = (first.to_pylist() + second.to_pylist())[:: 1 if names[0] == "a.parquet" else -1]
        assert table["n"].to_pylist() == ([str(value) for value in values] if common == pa.string() else values)


def test_parquet_columns_without_a_common_type_are_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["good"], "n": ["x"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": ["bad"], "n": [5]}), tmp_path / "b.parquet")
    ended = score(tmp_path, tiny_bundle, "a.parquet", "b.parquet", "-o", "out.parquet")
    assert_refused(ended, "column 'n' is string in a.parquet and int64 in b.parquet")
    assert score(tmp_path, tiny_bundle, "a.parquet", "b.parquet", "-o", "out.jsonl").code == 0


def test_binary_text_is_decoded(tiny_bundle: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": pa.array([b"good", b"caf\xe9"])}), tmp_path / "in.parquet")
    ended = score(tmp_path, tiny_bundle, "in.parquet", "-o", "out.parquet")
    assert "scored 1 of 2 rows" in ended.errors
    assert "1 set aside (1 not a text)" in ended.errors


def test_a_column_with_the_name_of_a_result_can_be_renamed(tiny_bundle: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "in.csv", [{"text": "good", "label": "mine"}])
    assert score(tmp_path, tiny_bundle, "in.csv", "-o", "out.csv", "--rename", "label=before").code == 0
    assert {name: rows_of(tmp_path / "out.csv")[0][name] for name in ("before", "label")} == {
        "before": "mine",
        "label": "positive",
    }
    for flags, message in (
        (["label=text"], "two columns with the same name 'text'"),
        (["likes=x", "label=y"], "no input has a column 'likes'"),
        (["label"], "write OLD=NEW"),
    ):
        renames = [part for flag in flags for part in ("--rename", flag)]
        assert_refused(score(tmp_path, tiny_bundle, "in.csv", "-o", "b.csv", *renames), message)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_scored_file_can_be_scored_again(tiny_bundle: Path, bundle_copy: Path, tmp_path: Path, kind: str) -> None:
    write_rows(tmp_path / f"in.{kind}", [{"id": "1", "text": "good"}, {"id": "2", "text": "bad"}])
    write_tiny_manifest(bundle_copy, metrics={"test": {"macro_f1": 0.8}})
    assert score(tmp_path, tiny_bundle, f"in.{kind}", "-o", f"once.{kind}").code == 0
    again = score(tmp_path, bundle_copy, f"once.{kind}", "-o", f"twice.{kind}")
    assert again.errors.startswith(f"scored before: once.{kind}: the columns {', '.join(ANSWERS)} are replaced\n")
    once, twice = rows_of(tmp_path / f"once.{kind}"), rows_of(tmp_path / f"twice.{kind}")
    assert [list(row) for row in twice] == [["id", "text", *ANSWERS]] * 2
    assert twice == [row | {"bundle": bundle_id(bundle_copy)[:12]} for row in once] != once
    write_rows(tmp_path / f"mine.{kind}", [{"text": "good", "label": "mine", "confidence": "1"}])
    refused = score(tmp_path, tiny_bundle, f"mine.{kind}", "-o", f"out.{kind}")
    assert_refused(refused, "has a column 'label', which scoring adds: rename it, e.g. --rename label=label_before")


@pytest.mark.parametrize("target", ["out.csv", "out.csv.gz"])
def test_a_byte_order_mark_is_written_once(many: Path, tiny_bundle: Path, tmp_path: Path, target: str) -> None:
    source = str(many / "many.csv")
    assert score(tmp_path, tiny_bundle, source, "-o", target, "--bom").code == 0
    content = (tmp_path / target).read_bytes()
    text = gzip.decompress(content) if target.endswith(".gz") else content
    assert text.startswith(b"\xef\xbb\xbfid,text,label")
    assert text.count(b"\xef\xbb\xbf") == 1


def test_a_byte_order_mark_is_for_csv(tiny_bundle: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "in.jsonl", [{"text": "good"}])
    ended = score(tmp_path, tiny_bundle, "in.jsonl", "-o", "out.jsonl", "--bom")
    assert_refused(ended, "--bom marks CSV and the output is jsonl: leave it out")


def test_nan_becomes_null(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "good", "meta": {"a": NaN, "b": [Infinity]}}\n')
    assert score(tmp_path, tiny_bundle, "in.jsonl", "-o", "out.jsonl").code == 0
    assert "NaN" not in (tmp_path / "out.jsonl").read_text()
    assert rows_of(tmp_path / "out.jsonl")[0]["meta"] == {"a": None, "b": [None]}


def test_nothing_scored_is_an_error(tiny_bundle: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "in.jsonl", [{"text": ["good"]}, {"text": 5}])
    ended = score(tmp_path, tiny_bundle, "in.jsonl", "-o", "out.jsonl")
    assert ended.code == 1
    assert "none of the 2 rows could be scored (2 not a text)" in ended.errors
    reasons = [reason for reason, _ in rejects_of(tmp_path / "out.jsonl.rejects.jsonl").values()]
    assert reasons[0] == "not a text: column 'text' holds a list"


def test_flags_of_reading(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes("1~gut \u20ac\n".encode("cp1252"))
    flags = ["--encoding", "cp1252", "--delimiter", "~", "--columns", "id,text"]
    assert score(tmp_path, tiny_bundle, "in.csv", "-o", "out.csv", *flags).code == 0
    assert rows_of(tmp_path / "out.csv")[0]["text"] == "gut \u20ac"


def test_several_inputs_make_one_output(tiny_bundle: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "a.csv", [{"text": "good", "likes": 1}])
    write_rows(tmp_path / "b.parquet", [{"author": "me", "text": "bad"}])
    write_rows(tmp_path / "c.jsonl", [{"text": "awful", "tags": ["x"]}, {"text": ""}])
    ended = score(tmp_path, tiny_bundle, "a.csv", "b.parquet", "c.jsonl", "-o", "out.csv")
    assert ended.code == 0
    rows = rows_of(tmp_path / "out.csv")
    assert list(rows[0]) == ["text", "likes", "author", "tags", *ANSWERS]
    assert [list(row.values())[:5] for row in rows] == [
        ["good", "1", "", "", "positive"],
        ["bad", "", "me", "", "negative"],
        ["awful", "", "", '["x"]', "negative"],
    ]
    (reject,) = rows_of(tmp_path / "out.csv.rejects.jsonl")
    assert reject == {"file": "c.jsonl", "row": 2, "reason": "no text", "raw": '{"text": ""}'}


def test_columns_after_the_first_rows(tiny_bundle: Path, tmp_path: Path) -> None:
    rows: Rows = [{"text": "good"}] * 1000
    rows += [{"text": "good", "late": 1}, {"text": "good", "label": "mine"}]
    write_rows(tmp_path / "in.jsonl", rows)
    assert score(tmp_path, tiny_bundle, "in.jsonl", "-o", "out.csv").code == 0
    rejects = rejects_of(tmp_path / "out.csv.rejects.jsonl")
    assert "late column: 'late' is not in the first 1000 rows" in rejects[1001][0]
    assert "column that scoring adds: 'label'" in rejects[1002][0]
    assert score(tmp_path, tiny_bundle, "in.jsonl", "-o", "out.jsonl").code == 0
    assert rows_of(tmp_path / "out.jsonl")[-1]["late"] == 1
    assert list(rejects_of(tmp_path / "out.jsonl.rejects.jsonl")) == [1002]


def test_standard_input_to_standard_output(tiny_bundle: Path, tmp_path: Path) -> None:
    text = b"\xef\xbb\xbftext,id\ngood,1\n,2\nbad,3\n"
    flags = ["--format", "csv", "-o", "-", "--output-format", "jsonl", "--rejects", "bad.jsonl"]
    ended = score(tmp_path, tiny_bundle, "-", *flags, text=text)
    assert ended.code == 0
    assert [json.loads(line)["label"] for line in ended.output.splitlines()] == ["positive", "negative"]
    assert [json.loads(line)["id"] for line in ended.output.splitlines()] == ["1", "3"]
    assert "1 set aside (1 no text) in bad.jsonl; written to standard output" in ended.errors
    assert rejects_of(tmp_path / "bad.jsonl") == {2: ("no text", ",2")}


def test_standard_output_equals_the_file(many: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    source = str(many / "many.csv")
    assert score(tmp_path, tiny_bundle, source, "-o", "out.csv").code == 0
    ended = score(tmp_path, tiny_bundle, source, "-o", "-", "--output-format", "csv")
    assert ended.output == (tmp_path / "out.csv").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_closed_standard_output_is_an_error(busy: Path, tiny_bundle: Path) -> None:
    process = spawn(busy, tiny_bundle, "many.csv", "-o", "-", "--output-format", "csv")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(b"id,text,label")
    process.stdout.close()
    assert process.wait(PATIENCE) == 1
    assert process.stderr.read().decode().splitlines() == [
        "error: standard output was closed before all rows were written to it"
    ]


def test_the_progress_bar_needs_a_terminal(busy: Path, tiny_bundle: Path) -> None:
    master, slave = pty.openpty()
    process = spawn(busy, tiny_bundle, "many.csv", "-o", "-", "--output-format", "csv", stderr=slave)
    os.close(slave)
    assert process.stdout is not None
    assert process.stdout.read().count(b"\n") == MANY + 1
    assert process.wait(PATIENCE) == 0
    shown = b""
    try:
        while piece := os.read(master, 65536):
            shown += piece
    except OSError:  # the other end is closed
        pass
    assert re.search(rb"\d+%.* [\d,]+ rows, [\d,]+/s", shown)


CSV_LINES = {
    b"1,good,x": "",
    b"2,,x": "no text",
    b"3,good": "wrong number of cells: 2, and the header has 3 (line 4)",
    b"4,good,x,y": "wrong number of cells: 4, and the header has 3 (line 5)",
    b"5,caf\xe9,x": "not UTF-8: perhaps cp1252; set the encoding (line 6)",
    b'6," \xe2\x80\x8b",x': "the text has only white space and invisible characters",
    b"7," + b"g" * 20_001 + b",x": "20001 characters and the limit is 20000",
    b'8,"a ""good""\r\nvideo",x': "",
    b'9,"good"y,x': "invalid CSV",
    b"10,good," + b"x" * 200_000: "",
    b"11," + b"g" * 20_000 + b",x": "",
    b'12,"unclosed,x': "invalid CSV: the quote that opens in line 14 is never closed",
}
JSON_LINES = {
    b'{"text": "good"}': "",
    b'{"text": "bad"': "invalid JSON",
    b"[1]": "a JSON list instead of an object",
    b'{"other": 1}': "no text",
    b'{"text": null}': "no text",
    b'{"text": 5}': "not a text: column 'text' holds a number",
    b'{"text": "caf\xe9"}': "not UTF-8",
    b'{"text": "half \\ud83d"}': "a lone surrogate",
    b'{"text": "whole \\ud83d\\ude00"}': "",
    b'{"text": "bad", "n": ' + b"[" * 100_000: "invalid JSON",
    b'{"text": "bad", "n": ' + b"[" * 100 + b"]" * 100 + b"}": "JSON with more than 100 levels",
    b'{"text": "good", "n": ' + b"[" * 99 + b"]" * 99 + b"}": "",
    b'{"text": "good", "n": [' + b"[], " * 500 + b"1]}": "",
    b'{"text": "bad", "n": ' + b"1" * 5000 + b"}": "invalid JSON",
    b'{"text": "a\xe2\x80\xa8b"}': "",
}


@pytest.mark.parametrize(
    ("name", "head", "lines"), [("in.csv", b"id,text,more\n", CSV_LINES), ("in.jsonl", b"", JSON_LINES)]
)
def test_no_row_is_lost(tiny_bundle: Path, tmp_path: Path, name: str, head: bytes, lines: dict[bytes, str]) -> None:
    (tmp_path / name).write_bytes(head + b"".join(line + b"\n" for line in lines))
    ended = score(tmp_path, tiny_bundle, name, "-o", "out.jsonl")
    assert ended.code == 0
    good = sum(not reason for reason in lines.values())
    assert f"scored {good} of {len(lines)} rows" in ended.errors
    assert len(rows_of(tmp_path / "out.jsonl")) == good
    found = rejects_of(tmp_path / "out.jsonl.rejects.jsonl")
    for number, (line, reason) in enumerate(lines.items(), start=1):
        if reason:
            assert reason in found[number][0]
            assert found[number][1] == line.decode("utf-8", "backslashreplace")
    assert len(found) == len(lines) - good


def test_blank_lines_are_skipped(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"text,id\r\n\r\ngood,1\r\n\r\n")
    (tmp_path / "in.jsonl").write_bytes(b'\n{"text": "good"}\n  \n')
    ended = score(tmp_path, tiny_bundle, "in.csv", "in.jsonl", "-o", "out.csv")
    assert "scored 2 of 2 rows" in ended.errors


def test_invalid_rows_of_parquet(tiny_bundle: Path, tmp_path: Path) -> None:
    text = pa.StringArray.from_buffers(
        3, pa.py_buffer(bytes([0, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, 12, 0, 0, 0])), pa.py_buffer(b"goodcaf\xe9fine")
    )
    pq.write_table(pa.table({"text": text, "id": [1, 2, 3]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": [None, 5], "id": [1, 2]}), tmp_path / "b.parquet")
    assert score(tmp_path, tiny_bundle, "a.parquet", "b.parquet", "-o", "out.jsonl").code == 0
    assert [row["id"] for row in rows_of(tmp_path / "out.jsonl")] == [1, 3]
    undecodable, missing, number = rows_of(tmp_path / "out.jsonl.rejects.jsonl")
    assert "'utf-8' codec can't decode" in undecodable["reason"]
    assert undecodable["raw"] == {"text": "caf\\xe9", "id": 2}
    assert (missing["file"], missing["row"], missing["reason"]) == ("b.parquet", 1, "no text")
    assert (number["row"], number["reason"]) == (2, "not a text: column 'text' holds a number")


@pytest.mark.parametrize("target", ["out.csv", "out.jsonl", "out.parquet"])
def test_input_without_rows(tiny_bundle: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "in.csv").write_text("id,text\n")
    ended = score(tmp_path, tiny_bundle, "in.csv", "-o", target)
    assert ended.errors.startswith("scored 0 of 0 rows")
    assert rows_of(tmp_path / target) == []
    if target == "out.csv":
        assert (tmp_path / target).read_text().splitlines() == [",".join(["id", "text", *ANSWERS])]
    if target == "out.parquet":
        assert pq.read_schema(tmp_path / target).names == ["id", "text", *ANSWERS]


def test_output_is_replaced_only_on_request(tiny_bundle: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "in.csv", [{"text": "good"}])
    for name in ("out.csv", "out.csv.rejects.jsonl"):
        (tmp_path / name).write_text("old")
        assert_refused(score(tmp_path, tiny_bundle, "in.csv", "-o", "out.csv"), "out.csv exists", "--overwrite")
    (tmp_path / "out.csv").unlink()
    assert_refused(score(tmp_path, tiny_bundle, "in.csv", "-o", "out.csv"), "rejects.jsonl exists", "--overwrite")
    assert score(tmp_path, tiny_bundle, "in.csv", "-o", "out.csv", "--overwrite").code == 0
    assert rows_of(tmp_path / "out.csv")[0]["label"] == "positive"
    assert not (tmp_path / "out.csv.rejects.jsonl").exists()


MISTAKES: dict[str, tuple[list[str], list[str]]] = {
    "no output": (["in.csv"], ["-o", "--help"]),
    "no such input": (["nowhere.csv", "-o", "out.csv"], ["cannot read nowhere.csv", "No such file"]),
    "no such column": (["in.csv", "-o", "out.csv", "--column", "Comment"], ["no column 'Comment'", "'id', 'text'"]),
    "no such column of json": (["in.jsonl", "-o", "out.csv", "--column", "x"], ["in.jsonl", "'x'", "'text'"]),
    "second input lacks the column": (["in.csv", "other.csv", "-o", "out.csv"], ["other.csv", "'text'", "'words'"]),
    "column that scoring adds": (
        ["scored.csv", "-o", "out.csv"],
        ["scored.csv", "'p_neutral'", "--rename p_neutral=p_neutral_before"],
    ),
    "two columns with the same name": (["twice.csv", "-o", "out.csv"], ["twice.csv", "'text', 'text'"]),
    "no header": (["empty.csv", "-o", "out.csv"], ["empty.csv has no CSV header"]),
    "other encoding": (["latin.csv", "-o", "out.csv"], ["latin.csv is not UTF-8", "cp1252"]),
    "unknown ending": (["in.txt", "-o", "out.csv"], ["'in.txt'", ".parquet", "--format"]),
    "unknown output": (["in.csv", "-o", "-"], ["'-'", "--output-format"]),
    "input is output": (["in.csv", "-o", "in.csv", "--overwrite"], ["in.csv is named twice"]),
    "output is rejects": (["in.csv", "-o", "out.csv", "--rejects", "out.csv"], ["out.csv is named twice"]),
    "output is a folder": (["in.csv", "-o", "folder.csv", "--overwrite"], ["folder.csv is not a regular file"]),
    "output is a device": (
        ["in.csv", "-o", "/dev/null", "--output-format", "csv", "--overwrite"],
        ["/dev/null is not a regular file"],
    ),
    "input is a device": (
        ["/dev/null", "-o", "out.csv", "--format", "csv"],
        ["/dev/null is not a regular file", "pipe"],
    ),
    "standard input and a file": (["-", "in.csv", "-o", "out.csv"], ["only input"]),
    "damaged gzip": (["cut.csv.gz", "-o", "out.csv"], ["cut.csv.gz is a damaged compressed file"]),
    "damaged parquet": (["cut.parquet", "-o", "out.csv"], ["cut.parquet is not readable Parquet"]),
    "no such device": (["in.csv", "-o", "out.csv", "--device", "cuda"], ["no graph for device 'cuda'"]),
    "output not writable": (["in.csv", "-o", "/proc/none/out.csv"], ["cannot write beside /proc/none/out.csv"]),
    "no bundle": (["in.csv", "-o", "out.csv", "--model", "nowhere"], ["nowhere is not a bundle"]),
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with invalid inputs."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "in.csv").write_text("id,text\n1,good\n")
    (folder / "in.jsonl").write_text('{"text": "good"}\n')
    (folder / "other.csv").write_text("id,words\n1,good\n")
    (folder / "scored.csv").write_text("text,p_neutral\ngood,1\n")
    (folder / "twice.csv").write_text("text,text\ngood,bad\n")
    (folder / "empty.csv").touch()
    (folder / "latin.csv").write_bytes(b"caf\xe9,text\n")
    (folder / "folder.csv").mkdir()
    (folder / "cut.csv.gz").write_bytes(gzip.compress(b"text\n" + b"good\n" * 5)[:-4])
    (folder / "cut.parquet").write_bytes(b"PAR1 and no more")
    return folder


@pytest.mark.parametrize(("arguments", "messages"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_reported(inputs: Path, tiny_bundle: Path, arguments: list[str], messages: list[str]) -> None:
    assert_refused(score(inputs, tiny_bundle, *arguments), *messages)
    assert not (inputs / "out.csv").exists()


def test_parquet_without_pyarrow(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ImportError")
    write_rows(tmp_path / "in.csv", [{"text": "good"}])
    write_rows(tmp_path / "in.parquet", [{"text": "good"}])
    for arguments in (["in.csv", "-o", "out.parquet"], ["in.parquet", "-o", "out.csv"]):
        assert_refused(score(tmp_path, tiny_bundle, *arguments, modules=tmp_path), ".parquet", "pip install pyarrow")
    assert score(tmp_path, tiny_bundle, "in.csv", "-o", "out.csv", modules=tmp_path).code == 0


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tiny_bundle: Path, tmp_path: Path) -> None:
    peaks = [peak_memory(tmp_path, tiny_bundle, rows) for rows in (6000, 120_000)]
    assert peaks[1] < 1.25 * peaks[0]  # the larger file is larger than the peak


def peak_memory(folder: Path, bundle: Path, rows: int) -> int:
    """Score rows of one kilobyte each and return the peak memory in kilobytes."""
    with (folder / "in.csv").open("w") as stream:
        stream.write("more,text\n")
        stream.writelines(f"{'x' * 1000},good\n" for _ in range(rows))
    command = [
        "-m",
        "commentwise",
        "score",
        "--model",
        str(bundle),
        "in.csv",
        "-o",
        "out.csv",
        "--overwrite",
    ]
    # Started by a small process: after a fork, Linux counts the memory of the parent too.
    starter = (
        "import resource, subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, "-c", starter, *command], cwd=folder, env=environment, capture_output=True, check=True
    )
    return int(found.stdout)


def test_the_command_imports_no_heavy_library() -> None:
    heavy = "{'torch', 'transformers', 'mlflow', 'pandas', 'onnx', 'sklearn', 'pyarrow', 'litserve'}"
    code = f"import sys, commentwise.serving.batch.score; print({heavy} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"


def test_hostile_rows_are_scored(tiny_bundle: Path, tmp_path: Path) -> None:
    """An entity with thousands of digits is a character that does not exist, and no error."""
    texts = ["good", "&#" + 5000 * "1" + ";", "&#x" + 5000 * "f" + "; bad", "a" + 5000 * "\u0301" + 5000 * "\u0316"]
    write_rows(tmp_path / "in.jsonl", [{"text": text} for text in texts])
    assert score(tmp_path, tiny_bundle, "in.jsonl", "-o", "out.jsonl").code == 0
    assert [row["label"] for row in rows_of(tmp_path / "out.jsonl")] == ["positive", "neutral", "negative", "neutral"]


def test_a_bundle_is_scored_with_its_own_normalisation(bundle_copy: Path, tmp_path: Path) -> None:
    write_tiny_manifest(bundle_copy, normalization_version=1)
    write_rows(tmp_path / "in.jsonl", [{"text": "@ana最高good"}, {"text": "<br>"}])
    assert score(tmp_path, bundle_copy, "in.jsonl", "-o", "old.jsonl").code == 0
    write_tiny_manifest(bundle_copy)
    score(tmp_path, bundle_copy, "in.jsonl", "-o", "new.jsonl")
    assert [row["label"] for row in rows_of(tmp_path / "old.jsonl")] == ["neutral", "neutral"]
    assert len(rows_of(tmp_path / "new.jsonl")) == 1  # nothing is left of the tag

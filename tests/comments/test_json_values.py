"""JSON in every layout is read row by row; saved YouTube comments are told apart; compression is told by content."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from commentwise.comments.files import Options, Source
from commentwise.comments.formats.rows import Row
from commentwise.errors import CommentwiseError

ROWS = [{"text": f"comment {number} 🚲", "label": "neutral"} for number in range(1500)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


def read(folder: Path, name: str, content: str | bytes, form: str | None = None) -> list[Row]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with Source(str(path), Options(form)).opened() as table:
        return list(table.rows)


LAYOUTS = {
    "lines": LINES,
    "array": json.dumps(ROWS),
    "indented array": json.dumps(ROWS, indent=1),
    "arrays in lines": f"{json.dumps(ROWS[:700])}\n{json.dumps(ROWS[700:])}\n",
    "indented objects": "\n".join(json.dumps(row, indent=2) for row in ROWS),
    "byte-order mark": "\ufeff" + LINES,
}


@pytest.mark.parametrize("name", ["in.json", "in.jsonl", "in.ndjson"])
@pytest.mark.parametrize("content", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_layouts(content: str, name: str, tmp_path: Path) -> None:
    rows = read(tmp_path, name, content)
    assert [row.values for row in rows] == ROWS
    assert not any(row.reason for row in rows)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstandard": zstandard.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("name", ["in.jsonl", "in.jsonl.gz", "in.json.zst"])
@pytest.mark.parametrize("packer", PACKERS)
def test_compression_is_told_by_content(packer: str, name: str, tmp_path: Path) -> None:
    packed = PACKERS[packer](LINES.encode())
    assert [row.values for row in read(tmp_path, name, packed)] == ROWS
    assert [row.values for row in read(tmp_path, name, packed * 2)] == ROWS * 2  # members are concatenated
    with pytest.raises(CommentwiseError, match="is a damaged compressed file"):
        read(tmp_path, name, packed[:-8])


def test_plain_text_named_as_compressed(tmp_path: Path) -> None:
    assert [row.values for row in read(tmp_path, "in.jsonl.gz", LINES)] == ROWS


def test_bad_elements_of_an_array_are_set_aside(tmp_path: Path) -> None:
    rows = read(tmp_path, "in.json", '[{"text": "a"}, 7, {"text": "half \\ud83d"}, {"text": "b"}]')
    assert [row.reason.partition(":")[0] for row in rows] == ["", "no JSON object", "not Unicode", ""]


@pytest.mark.parametrize(
    "content", ['[{"text": "a"}, {"text" "b"}, {"text": "c"}]' + " " * 50, '[{"text": "a"},', '[{"text": "a']
)
def test_an_array_that_ends_in_a_fault_is_refused(content: str, tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError, match=r"in\.json (is not valid JSON|ends within an array)"):
        read(tmp_path, "in.json", content)


def test_an_excel_workbook_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError, match="save it as CSV UTF-8"):
        read(tmp_path, "in.csv", b"PK\x03\x04" + bytes(100))


def api_comment(name: str, text: str, parent: str | None = None) -> dict[str, Any]:
    snippet = {"textDisplay": text, "publishedAt": "2024-01-01T00:00:00Z", "likeCount": 3, "videoId": "v1"}
    return {"kind": "youtube#comment", "id": name, "snippet": snippet | ({"parentId": parent} if parent else {})}


THREAD = {
    "kind": "youtube#commentThread",
    "snippet": {"videoId": "v1", "topLevelComment": api_comment("c1", "top")},
    "replies": {"comments": [api_comment("c1.r1", "answer", "c1")]},
}
PAGE = {"kind": "youtube#commentThreadListResponse", "items": [THREAD]}
API = [("top", "c1", None), ("answer", "c1.r1", "c1")]
VIDEO = {
    "id": "v1",
    "extractor": "youtube",
    "comments": [
        {"id": "c1", "text": "top", "timestamp": 1704067200, "parent": "root", "like_count": 3},
        {"id": "c1.r1", "text": "answer", "timestamp": 1704067200, "parent": "c1"},
    ],
}
DOWNLOADED = [
    {"cid": name, "text": text, "votes": "1.2K", "time_parsed": 1704067200.0, "author": "@a", "channel": "UC"}
    for text, name, _ in API
]
DUMPS: dict[str, tuple[str, str]] = {
    "page": ("dump.json", json.dumps(PAGE, indent=2)),
    "pages in lines": ("dump.jsonl", json.dumps(PAGE) + "\n"),
    "array of pages": ("dump.json", json.dumps([PAGE])),
    "threads in lines": ("dump.jsonl", json.dumps(THREAD) + "\n"),
    "yt-dlp": ("video.info.json", json.dumps(VIDEO)),
    "youtube-comment-downloader": ("lines.json", "".join(json.dumps(line) + "\n" for line in DOWNLOADED)),
}


@pytest.mark.parametrize(("name", "content"), DUMPS.values(), ids=DUMPS.keys())
def test_dumps_are_read_as_they_are(name: str, content: str, tmp_path: Path) -> None:
    rows = [row.values for row in read(tmp_path, name, content)]
    assert [(row["text"], row["comment_id"], row["parent_id"]) for row in rows] == API
    assert {row["published_at"][:19] for row in rows} == {"2024-01-01T00:00:00"}
    assert rows[0]["like_count"] == (1200 if "1.2K" in content else 3)


def test_a_dump_can_be_named_or_read_plainly(tmp_path: Path) -> None:
    comments = json.dumps(VIDEO["comments"])
    assert [row.values["parent_id"] for row in read(tmp_path, "a.json", comments, "yt_dlp")] == [None, "c1"]
    assert read(tmp_path, "a.json", json.dumps(PAGE), "json")[0].values == PAGE


def test_columns_added_to_downloaded_comments_are_kept(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.jsonl", json.dumps(DOWNLOADED[0] | {"label": "neutral"}))
    assert rows[0].values["label"] == "neutral"

"""The command `commentwise score` as a process, and comments for it."""

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.serving.process import PATIENCE, ROOT

TEXTS = ["a good video", 'bad, "awful"\r\nvideo', "the video", "great \U0001f600 été", "i hate\rit", "a good video"]
ANSWERS = ["label", "confidence", "p_negative", "p_neutral", "p_positive", "bundle"]
MANY = 20_000
"""Distinct comments that keep the command busy for seconds: ten chunks."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Ended:
    """A finished command."""

    code: int
    output: bytes
    errors: str


def spawn(
    folder: Path,
    bundle: Path | str,
    *arguments: str,
    stdin: int = subprocess.DEVNULL,
    stderr: int = subprocess.PIPE,
    modules: Path = ROOT,
) -> subprocess.Popen[bytes]:
    """Start the command in a folder, with `modules` first on the import path."""
    return subprocess.Popen(
        [sys.executable, "-m", "commentwise", "score", "--model", str(bundle), *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{modules}{os.pathsep}{ROOT}"},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
    )


def score(folder: Path, bundle: Path | str, *arguments: str, text: bytes = b"", modules: Path = ROOT) -> Ended:
    """Run the command, with `text` as standard input."""
    process = spawn(folder, bundle, *arguments, stdin=subprocess.PIPE, modules=modules)
    output, errors = process.communicate(text, timeout=PATIENCE)
    return Ended(process.returncode, output, errors.decode())


def assert_refused(ended: Ended, *messages: str) -> None:
    assert (ended.code, ended.output) == (1, b"")
    assert ended.errors.startswith("error: ")
    assert ended.errors.count("\n") == 1
    assert [message for message in messages if message not in ended.errors] == []


def is_csv(path: Path) -> bool:
    return path.name.removesuffix(".gz").endswith(".csv")


def rows_of(path: Path) -> Rows:
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if is_csv(path):
        return list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    return [json.loads(line) for line in content.decode().split("\n")[:-1]]


def write_rows(path: Path, rows: Rows) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return
    if is_csv(path):
        stream = io.StringIO(newline="")
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        content = stream.getvalue()
    else:
        content = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())


def rejects_of(path: Path) -> dict[int, tuple[str, Any]]:
    """Reason and raw row by row number."""
    return {row["row"]: (row["reason"], row["raw"]) for row in rows_of(path)}

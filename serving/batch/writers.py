"""Writing scored rows: as CSV, JSON lines or Parquet, in parts that survive a killed process or to standard output."""

import csv
import fcntl
import functools
import gzip
import io
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from commentwise.comments.files import Format, import_pyarrow
from commentwise.errors import CommentwiseError
from commentwise.fileio import atomic_file, read_json, write_json

JOINED_PARTS = 50
"""Parts in a row group of a Parquet file: readers want large ones, and memory is what limits them."""


@dataclass(frozen=True)
class ScoredChunk:
    """What became of a run of input rows, ready to be written."""

    rows: bytes
    rejects: bytes
    labels: dict[str, int]
    """How many of its comments got each label."""
    rejected: int
    position: int
    """Bytes of the inputs read by its end."""


@dataclass
class Totals:
    """What was written so far."""

    chunks: int = 0
    rows: int = 0
    rejected: int = 0
    labels: dict[str, int] = field(default_factory=dict)

    def add(self, chunk: ScoredChunk) -> None:
        """Count a chunk."""
        self.chunks += 1
        self.rows += sum(chunk.labels.values())
        self.rejected += chunk.rejected
        for label, count in chunk.labels.items():
            self.labels[label] = self.labels.get(label, 0) + count


class RowFormat(Protocol):
    """How scored rows become a file."""

    def encode(self, rows: Sequence[dict[str, Any]], first: bool) -> bytes:
        """One part of the file; `first` where it is the first."""

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Write the file that the parts make."""


class TextFormat:
    """CSV (RFC 4180) with `columns`, or JSON lines with the columns that each row has."""

    def __init__(self, form: Format, columns: Sequence[str]) -> None:
        self._form = form
        self._columns = columns

    def encode(self, rows: Sequence[dict[str, Any]], first: bool) -> bytes:
        """One part of the file; the first has the header. Compressed parts make one file when put together."""
        text = encode_csv(rows, self._columns, first) if self._form.kind == "csv" else encode_jsonl(rows)
        return gzip.compress(text, mtime=0) if self._form.gz else text

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Put the parts together."""
        join_bytes(parts, path)


def encode_csv(rows: Sequence[dict[str, Any]], columns: Sequence[str], header: bool) -> bytes:
    """The rows as CSV; a row may lack columns."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    if header:
        writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return stream.getvalue().encode()


def encode_jsonl(rows: Sequence[dict[str, Any]]) -> bytes:
    """The rows as JSON lines."""
    return "".join(_json(row) + "\n" for row in rows).encode()


def join_bytes(parts: Sequence[Path], path: Path) -> None:
    """Write one file after the other into `path`."""
    with path.open("wb") as whole:
        for part in parts:
            with part.open("rb") as stream:
                shutil.copyfileobj(stream, whole)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> str:
    """What Parquet holds and JSON does not, as text."""
    if isinstance(value, bytes):
        return value.hex()
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return _json(value) if isinstance(value, bool | int | float | list | dict) else _plain(value)


class ParquetFormat:
    """Parquet with `columns`, which keep their Arrow type where it is known in `types`."""

    def __init__(self, name: str, columns: Sequence[str], types: dict[str, Any]) -> None:
        """Raises CommentwiseError naming the file `name` where pyarrow is not installed."""
        self._pyarrow = import_pyarrow(name)
        self._columns = columns
        self._types = types

    def encode(self, rows: Sequence[dict[str, Any]], first: bool) -> bytes:
        """One part: a Parquet file of its own."""
        columns = {name: self._column([row.get(name) for row in rows], self._types.get(name)) for name in self._columns}
        sink = self._pyarrow.BufferOutputStream()
        self._pyarrow.parquet.write_table(self._pyarrow.table(columns), sink)
        return bytes(sink.getvalue())

    def _column(self, values: list[Any], known: Any) -> Any:
        """Values as an Arrow array: of the known type, else of one that fits them all, else as text."""
        nested = known is None and any(isinstance(value, list | dict) for value in values)
        try:
            return self._texts(values) if nested else self._pyarrow.array(values, known)
        except (ValueError, TypeError, OverflowError):
            return self._texts(values)

    def _texts(self, values: list[Any]) -> Any:
        return self._pyarrow.array([None if value is None else _cell(value) for value in values], "string")

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Write the parts as one file; a column whose parts differ in type becomes text."""
        parquet = self._pyarrow.parquet
        schema = functools.reduce(self._common_schema, map(parquet.read_schema, parts))
        with parquet.ParquetWriter(path, schema) as writer:
            for start in range(0, len(parts), JOINED_PARTS):
                tables = [parquet.ParquetFile(part).read() for part in parts[start : start + JOINED_PARTS]]
                writer.write_table(self._pyarrow.concat_tables([self._fitted(table, schema) for table in tables]))

    def _common_schema(self, left: Any, right: Any) -> Any:
        return self._pyarrow.schema([self._common_field(*fields) for fields in zip(left, right, strict=True)])

    def _common_field(self, left: Any, right: Any) -> Any:
        both = [self._pyarrow.schema([field]) for field in (left, right)]
        try:
            return self._pyarrow.unify_schemas(both, promote_options="permissive").field(0)
        except self._pyarrow.ArrowException:
            return self._pyarrow.field(left.name, "string")

    def _fitted(self, table: Any, schema: Any) -> Any:
        columns = []
        for column, target in zip(table.columns, schema, strict=True):
            if target.type == self._pyarrow.string() != column.type:
                columns.append(self._texts(column.to_pylist()))
            else:  # a whole number too large for a double becomes the nearest
                columns.append(column.cast(target.type, safe=False))
        return self._pyarrow.table(columns, schema=schema)


def partial_folder(path: Path) -> Path:
    """Where the parts of an output lie until it is complete."""
    return Path(f"{path}.partial")


class PartialFile:
    """The parts of an output that is not complete, in a folder beside it.

    state.json says how many parts are finished and whose work they are; what is beyond is of a process that was
    killed, and is written again.
    """

    def __init__(self, path: Path, rejects: Path, form: RowFormat, work: dict[str, str], restart: bool) -> None:
        """Go on with the parts beside `path`, or with none where `restart` drops them.

        Raises CommentwiseError when they belong to other work than `work`, another process writes them, or nothing
        can be written there.
        """
        self._path = path
        self._rejects = rejects
        self._form = form
        self._work = work
        self._folder = partial_folder(path)
        self._state = self._folder / "state.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommentwiseError(f"cannot write beside {path} ({error.strerror}): name another output") from None
        self._lock()
        self.totals = Totals() if restart or not self._state.exists() else self._earlier()

    def _lock(self) -> None:
        """Keep other processes away until this one ends, however it does."""
        self._lock_file = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommentwiseError(
                f"another process is writing {self._path}: wait for it, or name another output"
            ) from None

    def _earlier(self) -> Totals:
        state = read_json(self._state)
        before = state["work"]
        names = [name for name in before | self._work if before.get(name) != self._work.get(name)]
        if names:
            changes = "; ".join(f"{name} was {before.get(name)} and is {self._work.get(name)}" for name in names)
            raise CommentwiseError(
                f"{self._folder} holds unfinished work of another command ({changes}): "
                "repeat that one to continue it, or start anew with --restart"
            )
        return Totals(**state["totals"])

    def add(self, chunk: ScoredChunk) -> None:
        """Write the next part."""
        self._part(self.totals.chunks, "rows").write_bytes(chunk.rows)
        self._part(self.totals.chunks, "rejects").write_bytes(chunk.rejects)
        self.totals.add(chunk)
        write_json(self._state, {"work": self._work, "totals": asdict(self.totals)})

    def finish(self) -> None:
        """Make the output and the reject file of the parts, and remove these."""
        if self.totals.rejected:
            with atomic_file(self._rejects) as temporary:
                join_bytes(self._parts("rejects"), temporary)
        else:
            self._rejects.unlink(missing_ok=True)  # of an earlier run
        with atomic_file(self._path) as temporary:
            self._form.join(self._parts("rows"), temporary)
        shutil.rmtree(self._folder)

    def _part(self, index: int, kind: str) -> Path:
        return self._folder / f"{index:06}.{kind}"

    def _parts(self, kind: str) -> list[Path]:
        return [self._part(index, kind) for index in range(self.totals.chunks)]


class StandardOutput:
    """Standard output, which takes each chunk's rows as they are finished."""

    def __init__(self, rejects: Path) -> None:
        self.totals = Totals()
        self._rejects = rejects
        rejects.unlink(missing_ok=True)

    def add(self, chunk: ScoredChunk) -> None:
        """Write a chunk. Raises CommentwiseError when nobody reads it."""
        if chunk.rejects:
            with self._rejects.open("ab") as stream:
                stream.write(chunk.rejects)
        rest = memoryview(chunk.rows)
        try:
            while rest:
                rest = rest[os.write(1, rest) :]
        except BrokenPipeError:
            raise CommentwiseError("standard output was closed before all rows were written to it") from None
        self.totals.add(chunk)

    def finish(self) -> None:
        """Everything is written."""

"""Output of scored rows as CSV, JSON lines or Parquet: to a file, in parts that survive a kill, or to standard output."""

import csv
import fcntl
import functools
import gzip
import io
import json
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from commentwise.comments.parquet import import_pyarrow
from commentwise.errors import CommentwiseError
from commentwise.fileio import atomic_file, read_json, write_json

TEXT_FORMATS = ("csv", "jsonl")
JOINED_PARTS = 50
"""Parts per row group of a Parquet file. Readers prefer large row groups; memory limits them."""


@dataclass(frozen=True)
class Format:
    """The format of an output: csv, jsonl or parquet, the first two optionally compressed with gzip."""

    kind: str
    gz: bool = False


def format_of(name: str, given: str | None) -> Format:
    """The format by the ending of a file name, or else the one `given`. Raises CommentwiseError if neither."""
    path = Path(name.lower())
    gz = path.suffix == ".gz"
    kind = (path.with_suffix("") if gz else path).suffix[1:]
    if kind in TEXT_FORMATS or (kind == "parquet" and not gz):
        return Format(kind, gz)
    if given is None:
        raise CommentwiseError(
            f"{name!r} does not end in .csv, .jsonl, .csv.gz, .jsonl.gz or .parquet: name its format with --output-format"
        )
    return Format(given, gz)


@dataclass(frozen=True)
class ScoredChunk:
    """The results of a chunk of rows, encoded for writing."""

    rows: bytes
    rejects: bytes
    labels: dict[str, int]
    """Comments per label."""
    reasons: dict[str, int]
    """Rejected rows per kind of fault."""
    position: int
    """Bytes of the inputs that were read when the chunk was complete."""

    @property
    def rejected(self) -> int:
        """Rows that could not be scored."""
        return sum(self.reasons.values())


@dataclass
class Totals:
    """Counts of what was written so far."""

    chunks: int = 0
    rows: int = 0
    rejected: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, chunk: ScoredChunk) -> None:
        """Count a chunk."""
        self.chunks += 1
        self.rows += sum(chunk.labels.values())
        self.rejected += chunk.rejected
        for label, count in chunk.labels.items():
            self.labels[label] = self.labels.get(label, 0) + count
        for reason, count in chunk.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + count


class RowFormat(Protocol):
    """A file format of scored rows, written in parts."""

    def encode(self, rows: Sequence[dict[str, Any]], first: bool) -> bytes:
        """Encode one part of the file; the `first` has the header."""

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Write the file from its parts."""


class TextFormat:
    """CSV (RFC 4180) with `columns`, or JSON lines with the columns of each row."""

    def __init__(self, form: Format, columns: Sequence[str]) -> None:
        self._form = form
        self._columns = columns

    def encode(self, rows: Sequence[dict[str, Any]], first: bool) -> bytes:
        """Encode one part of the file; the first has the header. Gzip files may be concatenated."""
        text = encode_csv(rows, self._columns, first) if self._form.kind == "csv" else encode_jsonl(rows)
        return gzip.compress(text, mtime=0) if self._form.gz else text

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Concatenate the parts."""
        join_bytes(parts, path)


def encode_csv(rows: Sequence[dict[str, Any]], columns: Sequence[str], header: bool) -> bytes:
    """Encode rows as CSV; a row may lack columns."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    if header:
        writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return stream.getvalue().encode()


def encode_jsonl(rows: Sequence[dict[str, Any]]) -> bytes:
    """Encode rows as JSON lines."""
    return "".join(_json(row) + "\n" for row in rows).encode()


def join_bytes(parts: Sequence[Path], path: Path) -> None:
    """Concatenate files into `path`."""
    with path.open("wb") as whole:
        for part in parts:
            with part.open("rb") as stream:
                shutil.copyfileobj(stream, whole)


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=_plain, allow_nan=False)
    except ValueError:  # NaN and the infinities, which JSON does not have
        return json.dumps(_finite(value), ensure_ascii=False, default=_plain)


def _finite(value: Any) -> Any:
    """The value with null for NaN and the infinities."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def _plain(value: Any) -> str:
    """Text for a value that Parquet can hold and JSON cannot."""
    if isinstance(value, bytes):
        return value.hex()
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return "" if math.isnan(value) else str(value)
    return _json(value) if isinstance(value, bool | int | float | list | dict) else _plain(value)


class ParquetFormat:
    """Parquet with `columns`; those in `types` have a known Arrow type."""

    def __init__(self, name: str, columns: Sequence[str], types: dict[str, Any]) -> None:
        """Raises CommentwiseError naming the file `name` if pyarrow is not installed."""
        self._pyarrow = import_pyarrow(name)
        self._columns = columns
        self._types = types

    def encode(self, rows: Sequence[dict[str, Any]], first: bool) -> bytes:
        """Encode one part, a complete Parquet file."""
        columns = {name: self._column([row.get(name) for row in rows], self._types.get(name)) for name in self._columns}
        sink = self._pyarrow.BufferOutputStream()
        self._pyarrow.parquet.write_table(self._pyarrow.table(columns), sink)
        return bytes(sink.getvalue())

    def _column(self, values: list[Any], known: Any) -> Any:
        """An Arrow array of the known type, or of one that fits all values, or else of text."""
        nested = known is None and any(isinstance(value, list | dict) for value in values)
        if known == "string" or nested:
            return self._texts(values)
        try:
            return self._pyarrow.array(values, known)
        except (ValueError, TypeError, OverflowError):
            return self._texts(values)

    def _texts(self, values: list[Any]) -> Any:
        return self._pyarrow.array([None if value is None else _cell(value) for value in values], "string")

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Join the parts to one file; a column whose values have no common type becomes text."""
        schema = functools.reduce(self._common_schema, map(self._pyarrow.parquet.read_schema, parts))
        while (misfit := self._joined(parts, path, schema)) is not None:
            schema = schema.set(misfit, self._pyarrow.field(schema.names[misfit], "string"))

    def _joined(self, parts: Sequence[Path], path: Path, schema: Any) -> int | None:
        """Write the file; return the first column that cannot be converted to the schema without loss, None if all can."""
        parquet = self._pyarrow.parquet
        with parquet.ParquetWriter(path, schema) as writer:
            for start in range(0, len(parts), JOINED_PARTS):
                tables = []
                for part in parts[start : start + JOINED_PARTS]:
                    columns: list[Any] = []
                    for column, target in zip(parquet.ParquetFile(part).read().columns, schema, strict=True):
                        try:
                            columns.append(self._fitted(column, target.type))
                        except self._pyarrow.ArrowException:  # e.g. an integer too large for a double
                            return len(columns)
                    tables.append(self._pyarrow.table(columns, schema=schema))
                writer.write_table(self._pyarrow.concat_tables(tables))
        return None

    def _fitted(self, column: Any, target: Any) -> Any:
        if target == self._pyarrow.string() != column.type:
            return self._texts(column.to_pylist())
        return column.cast(target)

    def _common_schema(self, left: Any, right: Any) -> Any:
        return self._pyarrow.schema([self._common_field(*fields) for fields in zip(left, right, strict=True)])

    def _common_field(self, left: Any, right: Any) -> Any:
        both = [self._pyarrow.schema([field]) for field in (left, right)]
        try:
            return self._pyarrow.unify_schemas(both, promote_options="permissive").field(0)
        except self._pyarrow.ArrowException:
            return self._pyarrow.field(left.name, "string")


def partial_folder(path: Path) -> Path:
    """The folder with the parts of an output that is not complete."""
    return Path(f"{path}.partial")


class PartialFile:
    """An output file that is written in parts, which are kept in a folder beside it until it is complete.

    state.json holds the number of finished parts and the work they belong to; further parts were written by a process
    that was killed, and are overwritten.
    """

    def __init__(self, path: Path, rejects: Path, form: RowFormat, work: dict[str, str], restart: bool) -> None:
        """Continue with the parts beside `path`, or without them if `restart`.

        Raises CommentwiseError if they belong to other work than `work`, another process is writing them, or the folder
        is not writable.
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
        """Lock the folder until this process ends, even if it is killed."""
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
                f"{self._folder} holds unfinished results of another command ({changes}): "
                "run that one again to continue it, or start again with --restart"
            )
        return Totals(**state["totals"])

    def add(self, chunk: ScoredChunk) -> None:
        """Write the next part."""
        self._part(self.totals.chunks, "rows").write_bytes(chunk.rows)
        self._part(self.totals.chunks, "rejects").write_bytes(chunk.rejects)
        self.totals.add(chunk)
        write_json(self._state, {"work": self._work, "totals": asdict(self.totals)})

    def finish(self) -> None:
        """Join the parts to the output and the reject file, and delete them."""
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
    """Standard output: rows are written when their chunk is finished."""

    def __init__(self, rejects: Path) -> None:
        self.totals = Totals()
        self._rejects = rejects
        rejects.unlink(missing_ok=True)

    def add(self, chunk: ScoredChunk) -> None:
        """Write a chunk. Raises CommentwiseError if standard output was closed."""
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
        """Do nothing: everything is written."""

"""Read rows of comments from CSV and JSON lines (plain or .gz), Parquet and standard input.

A row that cannot be read is yielded too, with the reason.
"""

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from commentwise.errors import CommentwiseError

TEXT_FORMATS = ("csv", "jsonl")
STANDARD_STREAM = "-"
PEEKED_ROWS = 1000
"""Rows of a JSON lines file that determine its columns."""
MAX_LEVELS = 100
"""Nesting depth of a JSON value; Python's reader and writer fail at about a thousand."""


@dataclass(frozen=True)
class Format:
    """A file format: csv, jsonl or parquet, the first two optionally compressed."""

    kind: str
    gz: bool = False


def format_of(name: str, given: str | None, flag: str) -> Format:
    """The format by the ending of a file name, or else the one `given` with `flag`. Raises CommentwiseError if neither."""
    path = Path(name.lower())
    gz = path.suffix == ".gz"
    kind = (path.with_suffix("") if gz else path).suffix[1:]
    if kind in TEXT_FORMATS or (kind == "parquet" and not gz):
        return Format(kind, gz)
    if given is None:
        raise CommentwiseError(
            f"{name!r} does not end in .csv, .jsonl, .csv.gz, .jsonl.gz or .parquet: name its format with {flag}"
        )
    return Format(given, gz)


@dataclass(slots=True)
class Row:
    """One row as it was read. `number` counts from 1: lines of JSON lines, otherwise rows without the CSV header."""

    file: str
    number: int
    raw: Any
    """The content in the file: the text of the lines, or the values of a Parquet row."""
    values: dict[str, Any]
    reason: str = ""
    """Why the row cannot be used; empty if it can."""


@dataclass
class Table:
    """An open input. Its rows can be read once."""

    columns: list[str]
    rows: Iterator[Row]
    position: Callable[[], int]
    """Bytes read so far."""
    types: dict[str, Any] = field(default_factory=dict)
    """Arrow types of columns, if known."""


@dataclass
class Input:
    """A file of comments, or standard input, which can be read once."""

    name: str
    format: Format

    @cached_property
    def size(self) -> int:
        """Bytes of the file, 0 for standard input. Raises CommentwiseError if the file does not exist."""
        with _reading(self.name):
            return 0 if self.name == STANDARD_STREAM else Path(self.name).stat().st_size

    def opened(self) -> AbstractContextManager[Table]:
        """A context manager for the table. Entering it, or reading, raises CommentwiseError if the input cannot be read."""
        if self.name == STANDARD_STREAM:
            return nullcontext(self._standard_input)
        return self._opened_file()

    @cached_property
    def _standard_input(self) -> Table:
        return _text_table(sys.stdin.buffer, self.name, self.format, lambda: 0)

    @contextmanager
    def _opened_file(self) -> Iterator[Table]:
        path = Path(self.name)
        if path.exists() and not path.is_file():  # a pipe cannot be read twice, and columns are read first
            raise CommentwiseError(f"{path} is not a regular file: name one, or pipe it into - (standard input)")
        with _reading(self.name):
            if self.format.kind == "parquet":
                with _parquet_table(self.name, self.size) as table:
                    yield table
            else:
                with open(self.name, "rb") as file:
                    yield _text_table(file, self.name, self.format, file.tell)


class Rows:
    """The rows of several inputs, one after the other."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        self._inputs = inputs
        self._before = 0
        self._table: Table | None = None

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._before + (self._table.position() if self._table else 0)

    def __iter__(self) -> Iterator[Row]:
        for source in self._inputs:
            with source.opened() as self._table:
                yield from self._table.rows
            self._table = None
            self._before += source.size


def import_pyarrow(name: str) -> Any:
    """Import pyarrow, to read or write the Parquet file `name`. Raises CommentwiseError if it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise CommentwiseError(
            f"{name} is Parquet and pyarrow is not installed: `pip install pyarrow`, or use .csv or .jsonl"
        ) from None
    return pyarrow


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CommentwiseError(f"{name} is a damaged gzip file ({error}): fetch it again") from None
    except OSError as error:
        raise CommentwiseError(
            f"cannot read {name} ({error.strerror or error}): name a file that can be read"
        ) from None


def _text_table(file: BinaryIO, name: str, form: Format, position: Callable[[], int]) -> Table:
    stream = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if form.gz else file
    # Bytes that are not UTF-8 become surrogates, which `_is_unicode` detects, so that only their row is rejected.
    newline = "" if form.kind == "csv" else "\n"
    lines = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline=newline)
    return (_csv_table if form.kind == "csv" else _jsonl_table)(lines, name, position)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _legible(raw: str) -> str:
    """The text with undecodable bytes escaped, as in `caf\\xe9`."""
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _check_names(name: str, columns: list[str]) -> None:
    if len(set(columns)) < len(columns):
        raise CommentwiseError(f"{name} has two columns with the same name among {columns}: rename one")


class _Tape:
    """Passes lines on, and keeps the lines of the current row."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._kept: list[str] = []

    def __iter__(self) -> "_Tape":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._kept.append(line)
        return line

    def take(self) -> str:
        text = "".join(self._kept).rstrip("\r\n")
        self._kept.clear()
        return text


def _csv_table(lines: Iterable[str], name: str, position: Callable[[], int]) -> Table:
    tape = _Tape(lines)
    reader = csv.reader(tape, strict=True)  # otherwise an unclosed quote would silently swallow rows
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise CommentwiseError(f"{name} has no valid CSV header ({error}): fix its first line") from None
    if not header:
        raise CommentwiseError(f"{name} has no CSV header: its first line must name the columns")
    if not _is_unicode(tape.take()):
        raise CommentwiseError(f"{name} is not UTF-8: convert it, e.g. with `iconv -f latin1 -t utf-8`")
    _check_names(name, header)
    rows = _csv_rows(reader, tape, name, header)
    return Table(header, rows, position, dict.fromkeys(header, "string"))


def _csv_rows(reader: Iterator[list[str]], tape: _Tape, name: str, header: list[str]) -> Iterator[Row]:
    number = 0
    while True:
        fields: list[str] = []
        reason = ""
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # the reader continues with the next line
            reason = f"invalid CSV: {error}"
        raw = tape.take()
        if not fields and not reason:
            continue  # a blank line
        if not _is_unicode(raw):
            reason = "not UTF-8"
        elif not reason and len(fields) != len(header):
            reason = f"{len(fields)} fields, and the header has {len(header)}"
        number += 1
        yield Row(name, number, _legible(raw), dict(zip(header, fields, strict=False)), reason)


def _jsonl_table(lines: Iterable[str], name: str, position: Callable[[], int]) -> Table:
    rows = _jsonl_rows(lines, name)
    first = list(islice(rows, PEEKED_ROWS))
    columns = list(dict.fromkeys(column for row in first for column in row.values))
    return Table(columns, chain(first, rows), position)


def _jsonl_rows(lines: Iterable[str], name: str) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        raw = line.strip()
        if raw:
            values, reason = _json_object(raw)
            yield Row(name, number, _legible(raw), values, reason)


def _json_object(raw: str) -> tuple[dict[str, Any], str]:
    """The object in a line, or the reason why there is none."""
    if not _is_unicode(raw):
        return {}, "not UTF-8"
    try:
        values = json.loads(raw)
    except json.JSONDecodeError as error:
        return {}, f"invalid JSON: {error.msg} at character {error.pos}"
    except (ValueError, RecursionError) as error:  # a number is too long, or nesting too deep
        return {}, f"invalid JSON: {error}"
    if not isinstance(values, dict):
        return {}, f"a JSON {type(values).__name__} instead of an object"
    if raw.count("[") + raw.count("{") > MAX_LEVELS and _levels(values) > MAX_LEVELS:
        return {}, f"JSON with more than {MAX_LEVELS} levels"
    if "\\u" in raw and not _is_unicode(json.dumps(values, ensure_ascii=False)):
        return {}, "a lone surrogate, which is not a character"
    return values, ""


def _levels(value: Any) -> int:
    """The nesting depth of lists and objects."""
    levels = 0
    inside = [value]
    while containers := [each for each in inside if isinstance(each, list | dict)]:
        levels += 1
        inside = [item for each in containers for item in (each.values() if isinstance(each, dict) else each)]
    return levels


@contextmanager
def _parquet_table(name: str, size: int) -> Iterator[Table]:
    pyarrow = import_pyarrow(name)
    try:
        # Without a buffer size, whole row groups are read.
        with pyarrow.parquet.ParquetFile(name, buffer_size=2**20) as file:
            types = {column.name: column.type for column in file.schema_arrow}
            _check_names(name, file.schema_arrow.names)
            rows = _ParquetRows(file, name)
            yield Table(list(types), iter(rows), lambda: size * rows.number // max(file.metadata.num_rows, 1), types)
    except pyarrow.ArrowException as error:
        raise CommentwiseError(f"{name} is not readable Parquet ({_first_line(error)}): fetch it again") from None


class _ParquetRows:
    """The rows of a Parquet file, and the number of rows read so far."""

    def __init__(self, file: Any, name: str) -> None:
        self._file = file
        self._name = name
        self.number = 0

    def __iter__(self) -> Iterator[Row]:
        for batch in self._file.iter_batches(batch_size=PEEKED_ROWS):
            for values, reason in batch_rows(batch):
                self.number += 1
                yield Row(self._name, self.number, values, values, reason)


def batch_rows(batch: Any) -> Iterable[tuple[dict[str, Any], str]]:
    """The values of each row of a record batch; for a row that cannot be decoded, what can be, and the reason."""
    try:
        return [(values, "") for values in batch.to_pylist()]
    except ValueError as error:  # a text that is not UTF-8, or a time in nanoseconds
        if batch.num_rows == 1:
            return [(dict(zip(batch.schema.names, map(_salvaged, batch), strict=True)), _first_line(error))]
        return chain.from_iterable(batch_rows(batch.slice(index, 1)) for index in range(batch.num_rows))


def _salvaged(column: Any) -> Any:
    cell = column[0]
    try:
        return cell.as_py()
    except ValueError:
        return bytes(cell.as_buffer()).decode("utf-8", "backslashreplace") if hasattr(cell, "as_buffer") else None

"""Formats of scored rows: CSV, JSON lines and Parquet, written in parts."""

import codecs
import csv
import functools
import gzip
import io
import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from commentwise.comments.formats.parquet import import_pyarrow
from commentwise.errors import CommentwiseError

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


class RowFormat(Protocol):
    """A file format of scored rows, written in parts."""

    def encode(self, rows: Sequence[dict[str, Any]], first: bool) -> bytes:
        """Encode one part of the file; the `first` has the header."""

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Write the file from its parts."""


class TextFormat:
    """CSV (RFC 4180) with `columns`, or JSON lines with the columns of each row."""

    def __init__(self, form: Format, columns: Sequence[str], bom: bool = False) -> None:
        """With `bom`, CSV starts with a byte-order mark, by which spreadsheets recognise UTF-8."""
        self._form = form
        self._columns = columns
        self._bom = bom and form.kind == "csv"

    def encode(self, rows: Sequence[dict[str, Any]], first: bool) -> bytes:
        """Encode one part of the file; the first has the header. Gzip files may be concatenated."""
        text = encode_csv(rows, self._columns, first) if self._form.kind == "csv" else encode_jsonl(rows)
        if first and self._bom:
            text = codecs.BOM_UTF8 + text
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

"""Rows of Parquet files, and the common types of columns of several files."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from shutil import copyfileobj
from typing import Any, BinaryIO

from commentwise.comments.formats.rows import PEEKED_ROWS, Row, Table, check_names
from commentwise.errors import CommentwiseError

MAGIC = b"PAR1"


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


@contextmanager
def uncompressed(stream: BinaryIO) -> Iterator[BinaryIO]:
    """The content of a stream as a temporary file, since Parquet is read from its end."""
    with tempfile.TemporaryFile() as file:
        copyfileobj(stream, file)
        file.seek(0)
        yield file


@contextmanager
def parquet_table(source: Any, name: str, size: int) -> Iterator[Table]:
    """The table in a Parquet file of `size` bytes: a path or an open file. Raises CommentwiseError if it is not readable."""
    pyarrow = import_pyarrow(name)
    try:
        # Without a buffer size, whole row groups are read.
        with pyarrow.parquet.ParquetFile(source, buffer_size=2**20) as file:
            check_names(name, file.schema_arrow.names)
            types = {column.name: column.type for column in file.schema_arrow}
            rows = _ParquetRows(file, name)
            yield Table(list(types), iter(rows), lambda: size * rows.number // max(file.metadata.num_rows, 1), types)
    except (pyarrow.ArrowException, OSError) as error:
        if getattr(error, "errno", None):  # of the file system
            raise
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
            return [(dict(zip(batch.schema.names, map(_salvaged, batch), strict=True)), f"not readable: {_first_line(error)}")]  # fmt: skip
        return chain.from_iterable(batch_rows(batch.slice(index, 1)) for index in range(batch.num_rows))


def _salvaged(column: Any) -> Any:
    cell = column[0]
    try:
        return cell.as_py()
    except ValueError:
        return bytes(cell.as_buffer()).decode("utf-8", "backslashreplace") if hasattr(cell, "as_buffer") else None


def common_type(column: str, known: Any, other: Any, before: str, name: str) -> Any:
    """The type that holds a column of two files, `before` and `name`.

    The cells of CSV are of type "string", and so is what they are combined with; None is an unknown type, as in JSON,
    and remains one. Raises CommentwiseError naming column and files if there is none without loss.
    """
    if known == other:
        return known
    if known is None or other is None:
        return None
    if "string" in (known, other) and not all(hasattr(each, "id") for each in (known, other)):
        return "string"
    pyarrow = import_pyarrow(name)
    fields = [pyarrow.schema([pyarrow.field(column, each)]) for each in (known, other)]
    try:
        return pyarrow.unify_schemas(fields, promote_options="permissive").field(0).type
    except pyarrow.ArrowException:
        raise CommentwiseError(
            f"column {column!r} is {known} in {before} and {other} in {name}: score them separately, or convert one"
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

"""Reading rows of comments from files and Hugging Face datasets, without validation."""

import csv
import gzip
import io
import json
import logging
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from commentwise.errors import CommentwiseError
from commentwise.training.data.parts import part_of_split, unknown_split
from commentwise.training.settings import DataSettings

Row = dict[str, Any]


class UnreadableRow(Row):
    """A row that could not be read. It has no columns."""

    def __init__(self, reason: str, raw: str) -> None:
        super().__init__()
        self.reason = reason
        self.raw = raw
        """Its content in the file."""


def read_rows(data: DataSettings, root: Path = Path()) -> Iterator[Row]:
    """Yield the rows of the source with its own column names. `data.path` is relative to `root`.

    Raises CommentwiseError when the file or dataset is missing, unreadable or in another encoding.
    """
    path = root / data.path
    if data.hub:
        yield from _dataset_rows(data.hub, data)
    elif path.is_dir():
        yield from _dataset_rows(str(path), data)
    else:
        yield from _file_rows(path, data.encoding)


def source_name(data: DataSettings) -> str:
    """The name of the source in messages and in the lineage."""
    return f"hub:{data.hub}" + (f"/{data.hub_config}" if data.hub_config else "") if data.hub else data.path


def _file_rows(path: Path, encoding: str) -> Iterator[Row]:
    kind = path.suffixes[-2:-1] if path.suffix == ".gz" else path.suffixes[-1:]
    reader = _READERS.get("".join(kind).lower())
    if reader is None:
        raise CommentwiseError(
            f"data.path = {str(path)!r}: not a folder, nor a file ending in {', '.join(_READERS)} (or these with .gz)"
        )
    try:
        yield from reader(path, encoding)
    except UnicodeError as error:
        raise CommentwiseError(
            f"{path} is not {encoding} ({error}): set data.encoding to its encoding, e.g. latin-1, utf-16 or utf-16-le"
        ) from None
    except LookupError:
        raise CommentwiseError(f"data.encoding = {encoding!r}: no such encoding; try utf-8") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CommentwiseError(f"{path} is a damaged gzip file ({error}): fetch it again") from None
    except csv.Error as error:
        raise CommentwiseError(f"{path} is not valid CSV ({error}): fix it, or convert it to .jsonl") from None
    except OSError as error:
        raise CommentwiseError(f"data.path = {str(path)!r}: {error.strerror}; name a file that can be read") from None


def _read_csv(path: Path, encoding: str) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)  # an oversized comment is a bad row, not an error
    with _open_text(path, encoding) as stream:
        reader = csv.DictReader(stream)
        for row in reader:
            row.pop(None, None)  # cells without a header
            yield row


def _read_jsonl(path: Path, encoding: str) -> Iterator[Row]:
    with _open_text(path, encoding) as stream:
        for line in stream:
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:  # RecursionError: deeply nested brackets
                yield UnreadableRow(f"invalid JSON: {error}", line.strip())
                continue
            yield (
                row
                if isinstance(row, dict)
                else UnreadableRow(f"a JSON {type(row).__name__} instead of an object", line.strip())
            )


def _read_parquet(path: Path, encoding: str) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    with io.BytesIO(gzip.decompress(path.read_bytes())) if path.suffix == ".gz" else path.open("rb") as stream:
        try:
            for batch in pyarrow.parquet.ParquetFile(stream).iter_batches():
                yield from batch.to_pylist()
        except (pyarrow.ArrowException, OSError) as error:
            raise CommentwiseError(
                f"{path} is not readable Parquet ({str(error).splitlines()[0]}): fetch it again"
            ) from None


_READERS: dict[str, Callable[[Path, str], Iterator[Row]]] = {
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}


@contextmanager
def _open_text(path: Path, encoding: str) -> Iterator[TextIO]:
    # Otherwise a byte-order mark would be part of the first column's name.
    encoding = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    with (
        gzip.open(path, "rt", encoding=encoding, newline="")
        if path.suffix == ".gz"
        else path.open(encoding=encoding, newline="") as stream
    ):
        yield stream


def _dataset_rows(name: str, data: DataSettings) -> Iterator[Row]:
    import datasets

    # It logs a warning for each attempt.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        splits = datasets.load_dataset(name, data.hub_config)
    except Exception as error:  # the library raises many types: of files, network, Arrow, its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CommentwiseError(
            f"dataset {name!r} could not be loaded ({reason}): check the name, the configuration and the network"
        ) from None
    part_column = data.columns.part
    for split in splits if part_column else ():
        if part_of_split(split, data.splits) is None:
            raise CommentwiseError(f"dataset {name!r} has an unknown split {unknown_split(split)}")
    for split, rows in splits.items():
        classes = getattr(rows.features.get(data.columns.label), "names", None)
        for row in rows:
            if classes and row[data.columns.label] is not None:
                row[data.columns.label] = classes[row[data.columns.label]] if row[data.columns.label] >= 0 else None
            yield {**row, part_column: split} if part_column else row

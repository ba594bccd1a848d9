"""Rows from the source that `data` in params.yaml names: a file, a folder or a dataset of the Hugging Face hub."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from commentwise.comments.files import Options, Source
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

    A row that cannot be read is yielded as an UnreadableRow. Raises CommentwiseError when the file or dataset is missing,
    unreadable or in another encoding.
    """
    path = root / data.path
    if data.hub:
        yield from _dataset_rows(data.hub, data)
    elif path.is_dir():
        yield from _dataset_rows(str(path), data)
    else:
        yield from _file_rows(path, data)


def source_name(data: DataSettings) -> str:
    """The name of the source in messages and in the lineage."""
    return f"hub:{data.hub}" + (f"/{data.hub_config}" if data.hub_config else "") if data.hub else data.path


def _file_rows(path: Path, data: DataSettings) -> Iterator[Row]:
    header = tuple(data.header) if data.header else None
    with Source(str(path), Options(data.format, data.encoding, data.delimiter, data.quotes, header)).opened() as table:
        for row in table.rows:
            yield UnreadableRow(row.reason, str(row.raw)) if row.reason else row.values


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

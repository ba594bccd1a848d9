"""Blocks of rows, into which Parquet files are divided to be scored on a cluster."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from commentwise.comments.formats.parquet import common_type
from commentwise.comments.formats.rows import check_names
from commentwise.errors import CommentwiseError
from commentwise.serving.batch.chunks import answer_columns
from commentwise.serving.batch.locations import Store, opened

BLOCK_ROWS = 5_000
"""Rows of a block: seconds of work. Row groups would not do, since most files are a single one."""


@dataclass(frozen=True)
class Block:
    """Consecutive rows of one row group of an input."""

    name: str
    """Name of the files with its results, without suffix."""
    uri: str
    group: int
    start: int
    """Rows before it in the group."""
    before: int
    """Rows before it in the input."""


def survey(
    uris: Sequence[str], column: str, labels: Sequence[str], renamed: Mapping[str, str]
) -> tuple[dict[str, Any], list[Block]]:
    """The columns of all inputs with their common Arrow types, and the blocks. `renamed` gives columns other names.

    Raises CommentwiseError if an input cannot be read, lacks `column`, has a column with the name of a result, or one
    of a type that does not go with that of another input.
    """
    answers = answer_columns(labels)
    types: dict[str, Any] = {}
    origin: dict[str, str] = {}
    blocks = []
    for number, uri in enumerate(uris):
        with opened(uri) as file:
            names = [renamed.get(name, name) for name in file.schema_arrow.names]
            check_names(uri, names)
            if column not in names:
                raise CommentwiseError(
                    f"{uri} has no column {column!r}, only {names}: name the column of the comments with --column"
                )
            if taken := answers.keys() & set(names):
                name = min(taken)
                raise CommentwiseError(
                    f"{uri} has a column {name!r}, which scoring adds: rename it, e.g. --rename {name}={name}_before"
                )
            for name, field in zip(names, file.schema_arrow, strict=True):
                before = origin.setdefault(name, uri)
                types[name] = common_type(name, types.get(name, field.type), field.type, before, uri)
            groups = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            for index, position in enumerate(_positions(groups)):
                blocks.append(Block(f"part-{number:05}-{index:06}", Store(uri).place, *position))
    return types | answers, blocks


def _positions(group_rows: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """The positions of a file's blocks: row group, rows before it in the group, rows before it in the file."""
    before = 0
    for group, rows in enumerate(group_rows):
        for start in range(0, rows, BLOCK_ROWS):
            yield group, start, before + start
        before += rows


def block_batches(file: Any, block: Block) -> Iterator[Any]:
    """The record batches of a block. The rows before it in its row group are read and dropped."""
    row, end = 0, block.start + BLOCK_ROWS
    for batch in file.iter_batches(BLOCK_ROWS, [block.group]):
        first, last = max(row, block.start), min(row + batch.num_rows, end)
        if first < last:
            yield batch.slice(first - row, last - first)
        row += batch.num_rows
        if row >= end:
            return

"""Blocks of rows, into which Parquet files are divided to be scored on a cluster."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from commentwise.comments.formats.parquet import common_type
from commentwise.comments.formats.rows import check_names
from commentwise.errors import CommentwiseError
from commentwise.serving.batch.chunks import answer_columns, was_scored
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
) -> tuple[dict[str, Any], list[Block], list[str]]:
    """The columns of all inputs with their common Arrow types, the blocks, and the places of inputs scored before.

    `renamed` gives columns other names. Answers of an earlier run do not count as columns of an input. Raises
    CommentwiseError if an input cannot be read, lacks `column`, has some columns with the names of results, or one of
    a type that does not go with that of another input.
    """
    answers = answer_columns(labels)
    types: dict[str, Any] = {}
    origin: dict[str, str] = {}
    blocks: list[Block] = []
    scored_before: list[str] = []
    for number, uri in enumerate(uris):
        with opened(uri) as file:
            names = [renamed.get(name, name) for name in file.schema_arrow.names]
            check_names(uri, names)
            types_here = dict(zip(names, (field.type for field in file.schema_arrow), strict=True))
            if was_scored(uri, names, answers):
                scored_before.append(Store(uri).place)
                types_here = {name: known for name, known in types_here.items() if name not in answers}
            if column not in types_here:
                raise CommentwiseError(
                    f"{uri} has no column {column!r}, only {list(types_here)}: name the column of the comments with --column"
                )
            for name, known in types_here.items():
                before = origin.setdefault(name, uri)
                types[name] = common_type(name, types.get(name, known), known, before, uri)
            groups = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            for index, position in enumerate(_positions(groups)):
                blocks.append(Block(f"part-{number:05}-{index:06}", Store(uri).place, *position))
    return types | answers, blocks, scored_before


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

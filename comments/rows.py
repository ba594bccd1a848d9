"""Rows of a source as they were read, and tables of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from commentwise.errors import CommentwiseError

PEEKED_ROWS = 1000
"""Rows of a JSON file that determine its columns."""


@dataclass(slots=True)
class Row:
    """One row as it was read. `number` counts from 1: lines of JSON lines, otherwise rows without the CSV header."""

    file: str
    number: int
    raw: Any
    """The content in the file: the text of the lines, or the values of a Parquet row."""
    values: dict[str, Any]
    reason: str = ""
    """Why the row cannot be used; empty if it can. The kind of fault, then details after a colon."""


@dataclass
class Table:
    """An open source. Its rows can be read once."""

    columns: list[str]
    rows: Iterator[Row]
    position: Callable[[], int]
    """Bytes read so far."""
    types: dict[str, Any] = field(default_factory=dict)
    """Arrow types of columns, if known; "string" for the cells of CSV."""


def check_names(name: str, columns: Sequence[str]) -> None:
    """Raise CommentwiseError if two columns of the source `name` have the same name."""
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if list(columns).count(column) > 1)
        raise CommentwiseError(
            f"{name} has two columns with the same name {twice!r} among {list(columns)}: rename or delete one"
        )


def renamed(values: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The values with new names for some columns.

    >>> renamed({"text": "good", "label": 1}, {"label": "label_before"})
    {'text': 'good', 'label_before': 1}
    """
    return {names.get(name, name): value for name, value in values.items()}


def is_unicode(text: str) -> bool:
    """False if the text holds surrogates: undecodable bytes, or half of an escaped pair in JSON."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def legible(raw: str) -> str:
    """The text with undecodable bytes escaped, as in `caf\\xe9`."""
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def kind_of(reason: str) -> str:
    """The kind of fault that a reason names, without details.

    >>> kind_of("wrong number of cells: 2, and the header has 3 (line 7)")
    'wrong number of cells'
    """
    return reason.partition(":")[0]


def by_reason(counts: Mapping[str, int]) -> str:
    """Rows per kind of fault, most frequent first.

    >>> by_reason({"no text": 2, "not UTF-8": 5})
    '5 not UTF-8, 2 no text'
    """
    return ", ".join(
        f"{count:,} {kind}" for kind, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )


def text_of(value: Any, column: str) -> tuple[str, str]:
    """The text in a cell, or the reason why there is none. Bytes, as in binary Parquet columns, are decoded as UTF-8.

    >>> text_of(b"good", "text")
    ('good', '')
    >>> text_of(["good"], "text")
    ('', "not a text: column 'text' holds a list")
    """
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return "", f"not UTF-8: column {column!r} holds bytes"
    if value is None or value == "" or value != value:
        return "", "no text"
    if not isinstance(value, str):
        kind = {"dict": "an object", "list": "a list"}.get(
            type(value).__name__, f"a value of type {type(value).__name__}"
        )
        return "", f"not a text: column {column!r} holds {kind}"
    return value, ""


def peeked(rows: Iterable[Row]) -> tuple[list[str], list[Row]]:
    """The columns of the first rows in order of appearance, and these rows."""
    first = list(rows)
    return list(dict.fromkeys(column for row in first for column in row.values)), first

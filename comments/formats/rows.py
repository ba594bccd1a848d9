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


def cell_text(value: Any) -> str | None:
    """The text in a cell; None for null, NaN and empty text. Bytes must be UTF-8.

    Raises ValueError for anything else. Its message completes the sentence "column 'x' …".

    >>> cell_text(b"good")
    'good'
    """
    if isinstance(value, int | float) and value == value:
        raise ValueError("holds a number")
    return as_text(value)


def as_text(value: Any) -> str | None:
    """As cell_text, with numbers and times as text too."""
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            value = bytes(value).decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError("holds bytes that are not UTF-8") from None
    if isinstance(value, Mapping):
        raise ValueError("holds an object")
    if isinstance(value, list | tuple | set):
        raise ValueError("holds a list")
    if value is None or value != value or value == "":
        return None
    return str(value).encode("utf-8", "replace").decode()  # JSON can contain lone surrogates, UTF-8 cannot


def peeked(rows: Iterable[Row]) -> tuple[list[str], list[Row]]:
    """The columns of the first rows in order of appearance, and these rows."""
    first = list(rows)
    return list(dict.fromkeys(column for row in first for column in row.values)), first

"""Values of a source's cells as the types of the comments table. Each function raises ValueError for other values."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from commentwise.comments.labels import label_text

_LARGEST = 2**63 - 1


def cell_text(value: Any) -> str | None:
    """A value as text; None for null, NaN and empty text. Bytes must be UTF-8.

    Raises ValueError for lists, objects and other bytes. Its message completes the sentence "column 'x' …".
    """
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            value = bytes(value).decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError("holds bytes that are not UTF-8") from None
    if isinstance(value, Mapping):
        raise ValueError("holds an object, not a text")
    if isinstance(value, list | tuple | set):
        raise ValueError("holds a list, not a text")
    if value is None or value != value or value == "":
        return None
    return str(value).encode("utf-8", "replace").decode()  # JSON can contain lone surrogates, UTF-8 cannot


def cell_count(value: Any) -> int | None:
    """A value as a whole number from 0; None for null and blank text."""
    text = label_text(cell_text(value) if not isinstance(value, float) else value)
    if text is None:
        return None
    whole = re.fullmatch(r"(\d{1,19})(\.0*)?", text)
    if not whole or int(whole[1]) > _LARGEST:
        raise ValueError("holds no whole number")
    return int(whole[1])


def cell_time(value: Any) -> str | date | None:
    """A value as the time that it is, or as the text that it is written as."""
    if isinstance(value, date) and value == value:
        return value
    text = cell_text(value)
    return text.strip() or None if text else None

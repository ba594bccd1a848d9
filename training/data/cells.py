"""Values of a source's cells as the types of the comments table. Each function raises ValueError for other values."""

import re
from datetime import date
from typing import Any

from commentwise.comments.formats.rows import as_text
from commentwise.comments.labels import label_text

_LARGEST = 2**63 - 1


def cell_count(value: Any) -> int | None:
    """A value as a whole number from 0; None for null and blank text."""
    text = label_text(as_text(value) if not isinstance(value, float) else value)
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
    text = as_text(value)
    return text.strip() or None if text else None

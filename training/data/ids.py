"""Unique ids of comments, for any ids in the source."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from commentwise.comments.formats.rows import as_text

_ROUNDED = re.compile(r"-?\d(\.\d+)?[eE]\+?\d+")
_WHOLE = re.compile(r"(-?\d+)\.0+")
_EXACT_FLOAT = 2**53
"""From here on, a 64-bit float does not hold every whole number."""


@dataclass(frozen=True)
class Ids:
    """One id per row, all different."""

    values: list[str]
    note: str = ""
    """The changes to the ids of the source, for a warning; empty if there are none."""


def unique_ids(values: Sequence[Any], texts: Sequence[str | None]) -> Ids:
    """Make the ids of a source unique.

    A row without an id gets a hash of its text and of its occurrence number among equal texts; rows that share an id
    get this hash as a suffix. The result does not depend on the order of different rows.

    >>> unique_ids(["a", 7.0, None], ["x", "y", "z"]).values
    ['a', '7', 'f10063c92c5b99fd']
    """
    given = [_id_text(value) for value in values]
    counts = Counter(given)
    seen: Counter[str] = Counter()
    ids = []
    for known, text in zip(given, texts, strict=True):
        if known is not None and counts[known] == 1:
            ids.append(known)
            continue
        digest = hashlib.sha256(f"{seen[text or '']}\0{text or ''}".encode()).hexdigest()[:16]
        seen[text or ""] += 1
        ids.append(digest if known is None else f"{known}-{digest}")
    return Ids(ids, _note(values, given, counts))


def _note(values: Sequence[Any], given: Sequence[str | None], counts: Counter[str | None]) -> str:
    repeated = sum(count for known, count in counts.items() if known is not None and count > 1)
    rounded = [row for row, value in enumerate(values) if _is_rounded(value)]
    notes = []
    if repeated:
        example = next(known for known, count in counts.items() if known is not None and count > 1)
        notes.append(
            f"{repeated:,} of {len(given):,} rows share an id with another row, e.g. {example!r}: each got a suffix, to be unique"
        )
    if rounded:
        notes.append(f"{len(rounded):,} look rounded, e.g. {given[rounded[0]]!r}: export ids as text")
    return "; ".join(notes)


def _is_rounded(value: Any) -> bool:
    """True for a number that has lost digits, as in a spreadsheet or in a float column."""
    if isinstance(value, float):
        return abs(value) >= _EXACT_FLOAT
    return isinstance(value, str) and _ROUNDED.fullmatch(value.strip()) is not None


def _id_text(value: Any) -> str | None:
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOAT:
        return str(int(value))
    try:
        text = as_text(value)
    except ValueError:  # a list or an object
        return None
    if text is None or not text.strip():
        return None
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text

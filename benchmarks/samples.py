"""Samples of real comments with which servers and scoring are measured, drawn with a seed."""

import itertools
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from commentwise.comments.normalize import normalize
from commentwise.errors import CommentwiseError
from commentwise.models.bundle import Classifier
from commentwise.training.data.sources import read_rows
from commentwise.training.project import Project
from commentwise.training.settings import load_settings

SEED = 20
COMMENTS, BLOCK = 1024, 32


def read_column(path: Path, column: str) -> list[str]:
    """Read the texts of a file. Raises CommentwiseError if it cannot be read or lacks the column."""
    return [row[column] for row in read_columns(path, column)]


def read_columns(path: Path, *columns: str) -> list[dict[str, str]]:
    """Read columns of a file as strings, in row order. Raises CommentwiseError if it cannot be read or lacks a column."""
    source = load_settings(Project().params).data.model_copy(update={"path": str(path), "hub": None})
    rows: list[dict[str, Any]] = [row for row in read_rows(source) if row]  # unreadable rows are empty
    for column in columns:
        if not rows or column not in rows[0]:
            names = ", ".join(rows[0]) if rows else "no rows"
            raise CommentwiseError(f"{path} has no column {column!r} (it has {names}): name one of them")
    return [{column: str(row[column] or "") for column in columns} for row in rows]


def draw(texts: Sequence[str], classifier: Classifier) -> list[str]:
    """Draw comments with a seed, normalised and truncated, in an order that is fair to slow servers.

    Every block of 32 has one comment of each 32-quantile of the lengths, so that a slow server, which gets through few
    blocks, sees the same mix of lengths as a fast one. Raises CommentwiseError if there are fewer than 32 comments.
    """
    rng = random.Random(SEED)
    usable = [text for text in (_as_sent(text, classifier) for text in texts) if text]
    stratum = min(COMMENTS, len(usable)) // BLOCK
    if not stratum:
        raise CommentwiseError(f"there are {len(usable)} comments with text, at least {BLOCK} are needed: name a larger --data")  # fmt: skip
    drawn = sorted(rng.sample(usable, stratum * BLOCK), key=len)
    strata = [rng.sample(drawn[start : start + stratum], stratum) for start in range(0, len(drawn), stratum)]
    return [comment for block in zip(*strata, strict=True) for comment in rng.sample(block, BLOCK)]


def _as_sent(text: str, classifier: Classifier) -> str:
    normalized = normalize(text)
    return normalized[: max(end for _, end in classifier.tokenizer.encode(normalized).offsets)]


def different(texts: Sequence[str]) -> Iterator[str]:
    """Yield normalised comments endlessly, no two of them equal, since answers to equal ones may be cached.

    Each pass goes through `texts` in another seeded order; from the second pass on, its number is appended to each.
    Raises CommentwiseError if no text has content.
    """
    rng = random.Random(SEED)
    known = list(dict.fromkeys(filter(None, map(normalize, texts))))
    if not known:
        raise CommentwiseError("there are no comments with text: name another --data")
    yield from rng.sample(known, len(known))
    taken = set(known)
    for number in itertools.count(2):
        for text in rng.sample(known, len(known)):
            if (variant := f"{text} {number}") not in taken:
                yield variant

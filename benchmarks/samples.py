"""The comments that servers and scorers are measured with: real ones, drawn with a seed."""

import itertools
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from commentwise.comments.normalize import normalize
from commentwise.errors import CommentwiseError
from commentwise.models.bundle import Classifier
from commentwise.training.data.sources import read_rows
from commentwise.training.settings import load_settings

SEED = 20
COMMENTS, BLOCK = 1024, 32


def read_column(path: Path, column: str) -> list[str]:
    """A file's texts. Raises CommentwiseError when it cannot be read or has no such column."""
    return [row[column] for row in read_columns(path, column)]


def read_columns(path: Path, *columns: str) -> list[dict[str, str]]:
    """The columns of a file as texts, in order. Raises CommentwiseError when it cannot be read or lacks one of them."""
    rows: list[dict[str, Any]] = list(
        read_rows(load_settings().data.model_copy(update={"path": str(path), "hub": None}))
    )
    for column in columns:
        if not rows or column not in rows[0]:
            names = ", ".join(rows[0]) if rows else "no rows"
            raise CommentwiseError(f"{path} has no column {column!r} (it has {names}): name one of them")
    return [{column: str(row[column] or "") for column in columns} for row in rows]


def draw(texts: Sequence[str], classifier: Classifier) -> list[str]:
    """Draw comments with a seed, as they are sent, in an order that is fair to slow servers.

    Every block of 32 has one comment from each 32nd of the lengths: however few a server gets through, they are as
    long as everybody's. Raises CommentwiseError when there are too few.
    """
    chance = random.Random(SEED)
    usable = [text for text in (_as_sent(text, classifier) for text in texts) if text]
    stratum = min(COMMENTS, len(usable)) // BLOCK
    if not stratum:
        raise CommentwiseError(f"there are {len(usable)} comments with text, and {BLOCK} are needed: name a larger --data")  # fmt: skip
    drawn = sorted(chance.sample(usable, stratum * BLOCK), key=len)
    strata = [chance.sample(drawn[start : start + stratum], stratum) for start in range(0, len(drawn), stratum)]
    return [comment for block in zip(*strata, strict=True) for comment in chance.sample(block, BLOCK)]


def _as_sent(text: str, classifier: Classifier) -> str:
    normalized = normalize(text)
    return normalized[: max(end for _, end in classifier.tokenizer.encode(normalized).offsets)]


def different(texts: Sequence[str]) -> Iterator[str]:
    """Endless comments out of `texts`, normalised, no two of them equal: what is known already costs no time.

    Each pass goes through all of them in another order, seeded; from the second on they end in the pass's number.
    Raises CommentwiseError when no text has content.
    """
    chance = random.Random(SEED)
    known = list(dict.fromkeys(filter(None, map(normalize, texts))))
    if not known:
        raise CommentwiseError("there are no comments with text: name other --data")
    yield from chance.sample(known, len(known))
    taken = set(known)
    for number in itertools.count(2):
        for text in chance.sample(known, len(known)):
            if (variant := f"{text} {number}") not in taken:
                yield variant

"""Predictions as arrays, the form in which the log's windows and the reference are compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from commentwise.comments.traits import Traits
from commentwise.errors import CommentwiseError
from commentwise.models.prediction_log import predictions

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
TRAITS = tuple(field.name for field in fields(Traits))
"""Columns of the log that describe a comment without its text."""


@dataclass(frozen=True)
class Rows:
    """Predictions, oldest first."""

    time: Floats
    """Seconds since 1970, shape (rows,)."""
    hashes: NDArray[np.str_]
    """Hash of each text, shape (rows,)."""
    probabilities: Floats
    """Calibrated, shape (rows, labels)."""
    traits: dict[str, Floats]
    """The columns `TRAITS`, each of shape (rows,)."""
    languages: NDArray[np.str_] | None
    """BCP-47 tags, shape (rows,); None unless every row has one, which those of earlier versions do not."""
    texts: NDArray[np.object_] | None
    """Shape (rows,); None unless every text is known."""

    def __len__(self) -> int:
        return len(self.time)

    @property
    def predicted(self) -> Integers:
        """Index of the most probable label, shape (rows,)."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    def take(self, chosen: Integers | slice) -> "Rows":
        """Some of the rows, in the order given."""
        return Rows(
            self.time[chosen],
            self.hashes[chosen],
            self.probabilities[chosen],
            {name: values[chosen] for name, values in self.traits.items()},
            None if self.languages is None else self.languages[chosen],
            None if self.texts is None else self.texts[chosen],
        )

    def without_texts(self) -> "Rows":
        """The same rows as a log without texts would hold them."""
        return replace(self, texts=None)


def make_rows(
    time: Sequence[float],
    hashes: Sequence[str],
    probabilities: Floats,
    traits: Mapping[str, Sequence[float]],
    languages: Sequence[str | None],
    texts: Sequence[str | None],
) -> Rows:
    """Convert columns to arrays. Raises KeyError when one of `TRAITS` is missing."""
    return Rows(
        np.asarray(time, dtype=np.float64),
        np.array(hashes, dtype=np.str_),
        probabilities,
        {name: np.asarray(traits[name], dtype=np.float64) for name in TRAITS},
        np.array(languages, dtype=np.str_) if _all_known(languages) else None,
        np.array(texts, dtype=object) if _all_known(texts) else None,
    )


def latest_bundle(connection: Connection) -> str:
    """The id of the bundle that gave the latest answer. Raises CommentwiseError if the log is empty."""
    latest = connection.scalar(select(predictions.c.bundle_id).order_by(predictions.c.time.desc()).limit(1))
    if latest is None:
        raise CommentwiseError("the log holds no predictions yet: wait until the server has answered some")
    return str(latest)


def read_rows(connection: Connection, bundle_id: str, labels: Sequence[str], max_rows: int) -> Rows:
    """Read the latest `max_rows` distinct comments that this bundle answered, each at its first time, oldest first.

    A repeated comment adds no information, and the tests assume independent ones.
    """
    found = connection.execution_options(yield_per=1000).execute(
        select(predictions)
        .where(predictions.c.bundle_id == bundle_id)
        .order_by(predictions.c.time.desc(), predictions.c.position.desc(), predictions.c.id)
    )
    kept: dict[str, Any] = {}
    for row in found:
        if row.text_hash not in kept and len(kept) == max_rows:
            break
        kept.pop(row.text_hash, None)  # this occurrence is earlier and takes the comment's place in the order
        kept[row.text_hash] = row
    found.close()
    rows = list(reversed(kept.values()))
    return make_rows(
        [row.time for row in rows],
        [row.text_hash for row in rows],
        np.array([[row.probabilities[label] for label in labels] for row in rows], dtype=np.float64),
        {name: [getattr(row, name) for row in rows] for name in TRAITS},
        [row.language for row in rows],
        [row.text for row in rows],
    )


def joined(windows: Sequence[Rows]) -> Rows:
    """Concatenate consecutive windows."""
    languages = [rows.languages for rows in windows if rows.languages is not None]
    texts = [rows.texts for rows in windows if rows.texts is not None]
    return Rows(
        np.concatenate([rows.time for rows in windows]),
        np.concatenate([rows.hashes for rows in windows]),
        np.concatenate([rows.probabilities for rows in windows]),
        {name: np.concatenate([rows.traits[name] for rows in windows]) for name in windows[0].traits},
        np.concatenate(languages) if len(languages) == len(windows) else None,
        np.concatenate(texts) if len(texts) == len(windows) else None,
    )


def windows_of(rows: Rows, size: int) -> list[Rows]:
    """Split into windows of `size` comments, oldest first; the oldest rows that do not fill a window are left out."""
    first = len(rows) % size
    return [rows.take(slice(start, start + size)) for start in range(first, len(rows), size)]


def _all_known(values: Sequence[str | None]) -> bool:
    return bool(values) and all(value is not None for value in values)

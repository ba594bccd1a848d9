"""Comments as the statistics see them: one array per signal. Windows of the log and the reference have the same form."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from commentwise.errors import CommentwiseError
from commentwise.models.prediction_log import predictions

Floats = NDArray[np.float64]
LOGGED = ("tokens", "unknown_share", "split_share", "latin_share", "emoji_share")
"""Signals that stand in the log as they are."""
SIGNALS = (*LOGGED, "confidence", "entropy")


@dataclass(frozen=True)
class Rows:
    """Predictions, oldest first."""

    time: Floats
    """Seconds since 1970, shape (rows,)."""
    hashes: NDArray[np.str_]
    probabilities: Floats
    """Calibrated, shape (rows, labels)."""
    signals: dict[str, Floats]
    """Of `SIGNALS`, each of shape (rows,)."""
    texts: NDArray[np.object_] | None
    """None unless every text is known."""

    def __len__(self) -> int:
        return len(self.time)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Number of the most probable label, shape (rows,)."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    def take(self, chosen: NDArray[np.int64] | slice) -> "Rows":
        """Some of the rows, in the order given."""
        return Rows(
            self.time[chosen],
            self.hashes[chosen],
            self.probabilities[chosen],
            {name: values[chosen] for name, values in self.signals.items()},
            None if self.texts is None else self.texts[chosen],
        )

    def with_signal(self, name: str, values: Floats) -> "Rows":
        """The same rows with one more signal."""
        return replace(self, signals=self.signals | {name: values})


def make_rows(
    time: Sequence[float],
    hashes: Sequence[str],
    probabilities: Floats,
    logged: dict[str, Sequence[float]],
    texts: Sequence[str | None],
) -> Rows:
    """Rows with the signals that follow from the probabilities added to those of the log."""
    sure = np.clip(probabilities, 1e-12, 1)
    signals = {name: np.asarray(logged[name], dtype=np.float64) for name in LOGGED}
    signals["confidence"] = probabilities.max(axis=1)
    signals["entropy"] = -(sure * np.log(sure)).sum(axis=1)
    known = np.array(texts, dtype=object) if len(texts) and all(text is not None for text in texts) else None
    return Rows(np.asarray(time, dtype=np.float64), np.array(hashes, dtype=np.str_), probabilities, signals, known)


def read_rows(connection: Connection, bundle_id: str, labels: Sequence[str], most: int) -> Rows:
    """The latest `most` different comments that this bundle answered, each the first time it came, oldest first.

    A comment that comes again tells nothing new, and the tests count on independent ones. Raises CommentwiseError when
    another bundle answers now, or none has answered yet.
    """
    latest = connection.scalar(select(predictions.c.bundle_id).order_by(predictions.c.time.desc()).limit(1))
    if latest is None:
        raise CommentwiseError("the log holds no predictions yet: wait until the server has answered some")
    if latest != bundle_id:
        raise CommentwiseError(
            f"the latest predictions are of bundle {latest[:12]} and the reference is of {bundle_id[:12]}: make the reference of the bundle that answers now with `python -m commentwise.monitoring.signals.reference --bundle FOLDER`"
        )
    mine = predictions.c.bundle_id == bundle_id
    found = connection.execution_options(yield_per=1000).execute(
        select(predictions)
        .where(mine)
        .order_by(predictions.c.time.desc(), predictions.c.position.desc(), predictions.c.id)
    )
    kept: dict[str, Any] = {}
    for row in found:
        if row.text_hash not in kept and len(kept) == most:
            break
        kept.pop(row.text_hash, None)  # an earlier time: it takes its place there
        kept[row.text_hash] = row
    found.close()
    rows = list(reversed(kept.values()))
    probabilities = np.array([[row.probabilities[label] for label in labels] for row in rows], dtype=np.float64)
    return make_rows(
        [row.time for row in rows],
        [row.text_hash for row in rows],
        probabilities,
        {name: [getattr(row, name) for row in rows] for name in LOGGED},
        [row.text for row in rows],
    )


def joined(windows: Sequence[Rows]) -> Rows:
    """The rows of consecutive windows."""
    texts = [rows.texts for rows in windows if rows.texts is not None]
    return Rows(
        np.concatenate([rows.time for rows in windows]),
        np.concatenate([rows.hashes for rows in windows]),
        np.concatenate([rows.probabilities for rows in windows]),
        {
            name: np.concatenate([rows.signals[name] for rows in windows])
            for name in windows[0].signals
            if all(name in rows.signals for rows in windows)
        },
        np.concatenate(texts) if len(texts) == len(windows) else None,
    )


def windows_of(rows: Rows, size: int) -> list[Rows]:
    """Windows of `size` comments, oldest first; what is left over at the beginning belongs to none."""
    first = len(rows) % size
    return [rows.take(slice(start, start + size)) for start in range(first, len(rows), size)]

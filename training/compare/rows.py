"""Which comments came, went and changed between two comments tables."""

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import pandas as pd

KEYS = (["comment_id", "text"], ["text", "label"], ["text"], ["comment_id"])
"""In this order two rows are the same comment. Ids that number the rows of a file move when rows are removed, so texts go first."""
SIMILAR = 0.5
"""Rows that share only their id are the same comment, reworded, from this similarity of their texts without case (difflib's ratio)."""
COMPARED_CHARACTERS = 200
EXAMPLES = 20


@dataclass(frozen=True)
class RowChanges:
    """The changes from one table to another, as tables of the rows."""

    before: int
    """Rows of the table before."""
    after: int
    same: pd.DataFrame
    """Comments that are in both, with the columns of both; names end in _before and _after."""
    added: pd.DataFrame
    removed: pd.DataFrame

    @property
    def relabelled(self) -> pd.DataFrame:
        """Comments that got another label, got one, or lost theirs."""
        before, after = (self.same[f"label_{side}"].fillna("") for side in ("before", "after"))
        return self.same[(before != after).to_numpy()]

    @property
    def reworded(self) -> pd.DataFrame:
        """Comments with another text under the same id."""
        return self.same[(self.same["text_before"] != self.same["text_after"]).to_numpy()]

    def as_dict(self) -> dict[str, Any]:
        """Counts and examples, for JSON."""
        relabellings = self.relabelled[["label_before", "label_after"]].fillna("none").value_counts()
        return {
            "before": self.before,
            "after": self.after,
            "added": len(self.added),
            "removed": len(self.removed),
            "relabelled": len(self.relabelled),
            "reworded": len(self.reworded),
            "added_labels": _label_counts(self.added["label"]),
            "removed_labels": _label_counts(self.removed["label"]),
            "relabellings": [
                {"from": old, "to": new, "comments": count}
                for (old, new), count in zip(relabellings.index.tolist(), relabellings.tolist(), strict=True)
            ],
            "relabelled_examples": [
                {"text": row.text_after, "from": row.label_before, "to": row.label_after}
                for row in self.relabelled.head(EXAMPLES).fillna("none").itertuples()
            ],
            "reworded_examples": [
                {"from": row.text_before, "to": row.text_after} for row in self.reworded.head(EXAMPLES).itertuples()
            ],
        }


def changes(before: pd.DataFrame, after: pd.DataFrame) -> RowChanges:
    """Compare two tables with the columns comment_id, text and label.

    >>> first = pd.DataFrame({"comment_id": ["1", "2"], "text": ["good", "bad"], "label": ["yes", "no"]})
    >>> second = pd.DataFrame({"comment_id": ["1", "2"], "text": ["bad", "new"], "label": ["yes", "no"]})
    >>> found = changes(first, second)
    >>> found.same["text_after"].tolist(), len(found.relabelled), found.removed["text"].tolist()
    (['bad'], 1, ['good'])
    """
    before, after = before.reset_index(drop=True), after.reset_index(drop=True)
    places = paired(before, after)
    same = before.loc[places["before"]].reset_index(drop=True).add_suffix("_before")
    same = same.join(after.loc[places["after"]].reset_index(drop=True).add_suffix("_after"))
    kept = np.array(
        [_similar(one, other) for one, other in zip(same["text_before"], same["text_after"], strict=True)], dtype=bool
    )
    places = places[kept]
    return RowChanges(
        len(before),
        len(after),
        same[kept],
        added=after.drop(index=places["after"].tolist()),
        removed=before.drop(index=places["before"].tolist()),
    )


def paired(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """The rows of the two tables that are the same comment, as pairs of places in the columns before and after.

    Rows that share only their id are paired, too, however different their texts are.
    """
    left = before.reset_index(drop=True)[["comment_id", "text", "label"]].astype(object)
    right = after.reset_index(drop=True)[["comment_id", "text", "label"]].astype(object)
    left, right = left.where(left.notna(), ""), right.where(right.notna(), "")
    found = []
    for keys in KEYS:
        # Copies of a comment are paired one by one.
        one = left[keys].assign(copy=left.groupby(keys).cumcount(), before=left.index)
        other = right[keys].assign(copy=right.groupby(keys).cumcount(), after=right.index)
        pairs = one.merge(other, on=[*keys, "copy"])[["before", "after"]]
        found.append(pairs)
        left, right = left.drop(index=pairs["before"].tolist()), right.drop(index=pairs["after"].tolist())
    return pd.concat(found, ignore_index=True).sort_values("after").astype(int)


def _similar(one: str, other: str) -> bool:
    if one == other:
        return True
    first, second = (text[:COMPARED_CHARACTERS].casefold() for text in (one, other))
    return SequenceMatcher(None, first, second).ratio() >= SIMILAR


def _label_counts(labels: pd.Series) -> dict[str, int]:
    return {str(label): int(count) for label, count in labels.fillna("none").value_counts().items()}

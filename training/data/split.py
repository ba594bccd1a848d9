"""Splitting comments into train, validation and test: grouped, stratified and seeded."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from commentwise.comments.table import PARTS
from commentwise.errors import CommentwiseError


def split(table: pd.DataFrame, labels: Sequence[str], validation: float, test: float, seed: int) -> pd.Series:
    """Return each row's part (train, validation or test), in the order of `table`.

    `table` has the columns label, group and part. Rows of a group always share a part. A validation or test part of the
    source is kept; a missing one is drawn from the rest with the given share of each label's groups.
    Raises CommentwiseError when a label would be missing from a part.
    """
    part = held_out_part(table)
    shares = {name: share for name, share in (("test", test), ("validation", validation)) if not (part == name).any()}
    rng = np.random.default_rng(seed)
    # A group's label is its most frequent one: disagreeing copies stay together all the same.
    label_of_group = table[part.isna()].groupby("group")["label"].agg(lambda column: column.mode()[0])
    part_of_group: dict[int, str] = {}
    for _, groups in label_of_group.groupby(label_of_group, sort=True):
        shuffled = rng.permutation(groups.index)
        start = 0
        for position, (name, share) in enumerate(shares.items()):
            # At least one group is left for each part to come, including the training part.
            maximum = len(shuffled) - start - (len(shares) - position)
            stop = start + max(1, min(round(share * len(shuffled)), maximum))
            part_of_group |= dict.fromkeys(shuffled[start:stop].tolist(), name)
            start = stop
    part = part.fillna(table["group"].map(part_of_group).astype("str")).fillna("train")
    _check_labels_everywhere(table["label"], part, labels)
    return part


def held_out_part(table: pd.DataFrame) -> pd.Series:
    """The held-out part that the source gives to a row's group (test before validation), null where it gives none."""
    held_out = table[table["part"].isin(["test", "validation"])]
    return table["group"].map(held_out.groupby("group")["part"].min()).astype("str")


def _check_labels_everywhere(label: pd.Series, part: pd.Series, labels: Sequence[str]) -> None:
    counts = pd.crosstab(label, part).reindex(index=list(labels), columns=list(PARTS), fill_value=0)
    for name, row in counts.iterrows():
        for where in PARTS:
            if row[where] == 0:
                raise CommentwiseError(
                    f"label {name!r}: its {int(row.sum())} comments leave none for the {where} part; "
                    "add comments with this label, or take it out of `labels`"
                )

"""Splitting comments into train, validation and test: grouped, stratified and seeded."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from commentwise.comments.table import PARTS
from commentwise.errors import CommentwiseError


def split(table: pd.DataFrame, labels: Sequence[str], validation: float, test: float, seed: int) -> pd.Series:
    """Return each row's part (train, validation or test), in the order of `table`.

    `table` has the columns label, group and part. All rows of a group get the same part. A validation or test part in
    the source is kept; otherwise it is drawn from the rest, with the share `validation` or `test` of each label's
    groups. Raises CommentwiseError when a label would be missing from a part.
    """
    part = held_out_part(table)
    shares = {name: share for name, share in (("test", test), ("validation", validation)) if not (part == name).any()}
    rng = np.random.default_rng(seed)
    # The label of a group is its most frequent one, because copies with different labels stay together.
    label_of_group = table[part.isna()].groupby("group")["label"].agg(lambda column: column.mode()[0])
    part_of_group: dict[int, str] = {}
    for _, groups in label_of_group.groupby(label_of_group, sort=True):
        shuffled = rng.permutation(groups.index)
        start = 0
        for position, (name, share) in enumerate(shares.items()):
            # Leave at least one group for each remaining part, including the training part.
            maximum = len(shuffled) - start - (len(shares) - position)
            stop = start + max(1, min(round(share * len(shuffled)), maximum))
            part_of_group |= dict.fromkeys(shuffled[start:stop].tolist(), name)
            start = stop
    part = part.fillna(table["group"].map(part_of_group).astype("str")).fillna("train")
    _check_labels_everywhere(table, part, labels)
    return part


def held_out_part(table: pd.DataFrame) -> pd.Series:
    """The held-out part of each row's group in the source (test before validation), null if there is none."""
    held_out = table[table["part"].isin(["test", "validation"])]
    return table["group"].map(held_out.groupby("group")["part"].min()).astype("str")


def _check_labels_everywhere(table: pd.DataFrame, part: pd.Series, labels: Sequence[str]) -> None:
    counts = pd.crosstab(table["label"], part).reindex(index=list(labels), columns=list(PARTS), fill_value=0)
    for name, row in counts.iterrows():
        for part_name in PARTS:
            if row[part_name] == 0:
                groups = table["group"][table["label"] == name].nunique()
                if groups < min(len(PARTS), row.sum()):
                    raise CommentwiseError(
                        f"label {name!r}: its {int(row.sum())} comments are {groups} group{'s' if groups > 1 else ''} of near copies, and a group stays in one part; "
                        "add other comments with this label, remove it from `labels`, or raise prepare.near_duplicate"
                    )
                raise CommentwiseError(
                    f"label {name!r}: its {int(row.sum())} comments leave none for the {part_name} part; "
                    "add comments with this label, or remove it from `labels`"
                )

"""The scores and answers of two bundles on the comments that both may be judged on: those that neither has seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from commentwise.comments.copies import group_copies
from commentwise.errors import CommentwiseError
from commentwise.models.bundle import Classifier
from commentwise.training.choice.evaluate import MIN_LANGUAGE_COMMENTS as MIN_SLICE_COMMENTS
from commentwise.training.compare.rows import paired
from commentwise.training.compare.sides import Side
from commentwise.training.scores import (
    all_scores,
    bootstrap_intervals,
    confusion,
    label_indices,
    label_score,
    paired_differences,
)

SEEN = ("train", "validation")
"""The parts of the split from which a bundle was trained, chosen or calibrated."""
RELABELLED = "relabelled between the two"
LENGTHS = {"up to 5 words": (0, 5), "6 to 15 words": (5, 15), "more than 15 words": (15, 10**9)}
"""Slices by the number of words: more than the first, up to the second."""
NEAR_DUPLICATE = 0.8
"""Similarity of copies where a side's parameters do not say."""
RESAMPLES = 2000
SEED = 0


@dataclass(frozen=True)
class Score:
    """A score of both sides on the same comments, and their difference with its 95% interval by paired bootstrap."""

    before: float
    after: float
    difference: float
    low: float
    high: float
    comments: int

    @property
    def significant(self) -> bool:
        """True if 0 is outside of the interval."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Relabelling:
    """The effect of new labels alone: the side before on the same comments, macro-F1 with its own labels and with the new."""

    comments: int
    relabelled: int
    old_labels: float
    new_labels: float


@dataclass(frozen=True)
class Judged:
    """Both bundles on the comments that both may be judged on."""

    rows: pd.DataFrame
    """comment_id, text, label, before and after (predicted labels), confidence_before, confidence_after, language."""
    left_out: dict[str, int]
    """Test comments of either side that are not among them, by reason."""
    scores: dict[str, Score]
    """macro_f1 and accuracy."""
    intervals: dict[str, dict[str, tuple[float, float]]]
    """By side (before, after) and score, the 95% interval."""
    labels: dict[str, Score]
    """F1 by label."""
    slices: dict[str, dict[str, Score]]
    """Macro-F1 by kind of slice and slice."""
    relabelling: Relabelling | None
    """None if no test comment was relabelled."""

    def flips(self, kind: str) -> pd.DataFrame:
        """The comments whose answer changed: `lost` from right to wrong, `won` the reverse, `other` from one wrong to another.

        The most confident new answers first.
        """
        rows = self.rows[self.rows["before"] != self.rows["after"]]
        was, now = rows["before"] == rows["label"], rows["after"] == rows["label"]
        chosen = {"lost": was & ~now, "won": ~was & now, "other": ~was & ~now}[kind]
        return rows[chosen].sort_values("confidence_after", ascending=False)


def judge(before: Side, after: Side) -> Judged:
    """Run both bundles on the comments that neither has seen.

    Raises CommentwiseError if they cannot be compared: their labels differ, data are missing, or no comment is left.
    """
    if set(before.labels) != set(after.labels):
        raise CommentwiseError(
            f"{before.title} has the labels {', '.join(before.labels)} and {after.title} {', '.join(after.labels)}: "
            "scores of different labels cannot be compared"
        )
    for side in (before, after):
        if side.split is None:
            raise CommentwiseError(f"the split of {side.title} is missing, so nobody knows which comments it has seen")
    rows, left_out = unseen(before, after)
    contested = rows["label_before"] != rows["label"]
    if contested.any():
        left_out |= {RELABELLED: int(contested.sum())}
    if contested.all():
        raise CommentwiseError(
            f"no test comment of {before.title} or {after.title} is unseen by both ({words(left_out) or 'there is none'})"
        )
    labels, rows = after.labels, _answered(before, after, rows)
    relabelling = None
    if contested.any():
        old, new = (_scores(rows, labels, targets, "before")["macro_f1"] for targets in ("label_before", "label"))
        relabelling = Relabelling(len(rows), int(contested.sum()), old, new)
    rows = rows[~contested].drop(columns="label_before").reset_index(drop=True)
    return Judged(
        rows,
        left_out,
        {name: _score(rows, labels, name) for name in ("macro_f1", "accuracy")},
        {side: _intervals(rows, labels, side) for side in ("before", "after")},
        {label: _score(rows, labels, label_score(index)) for index, label in enumerate(labels)},
        _slices(rows, labels),
        relabelling,
    )


def unseen(before: Side, after: Side) -> tuple[pd.DataFrame, dict[str, int]]:
    """The labelled test comments of either side that neither has seen, and how many others there are by reason.

    A side has seen a comment if it, or a copy of it, is in one of the parts `SEEN` of its split. The columns are comment_id,
    text (as it came), label, label_before (that of the side before) and language.
    """
    assert before.split is not None
    assert after.split is not None
    first, second = _with_source(before, before.split), _with_source(after, after.split)
    thresholds = [
        side.manifest["params"].get("prepare", {}).get("near_duplicate", NEAR_DUPLICATE) for side in (before, after)
    ]
    groups = group_copies([*first["text"], *second["text"]], min(thresholds))
    first, second = first.assign(group=groups[: len(first)]), second.assign(group=groups[len(first) :])
    comments = _joined(first, second)
    reasons = pd.Series("", index=comments.index)
    for side, table, name in ((before, first, "before"), (after, second, "after")):
        seen = set(table.loc[table["part"].isin(SEEN), "group"])
        copies = comments["group_before"].isin(seen) | comments["group_after"].isin(seen)
        reasons[(reasons == "") & comments[f"part_{name}"].isin(SEEN)] = f"{side.title} was trained or chosen with them"
        reasons[(reasons == "") & copies] = f"{side.title} was trained or chosen with copies of them"
    tested = (comments["part_before"] == "test") | (comments["part_after"] == "test")
    kept = comments[tested & (reasons == "")]
    values = {
        name: kept[f"{name}_after"].where(kept[f"{name}_after"].notna(), kept[f"{name}_before"])
        for name in ("comment_id", "source", "label", "language")
    }
    labels_before = kept["label_before"].where(kept["label_before"].notna(), values["label"])
    rows = pd.DataFrame(values | {"label_before": labels_before}).rename(columns={"source": "text"})
    counts = reasons[tested & (reasons != "")].value_counts()
    return rows.reset_index(drop=True), {str(reason): int(count) for reason, count in counts.items()}


def words(left_out: Mapping[str, int]) -> str:
    """The comments that were left out, in words.

    >>> words({"version 1 was trained or chosen with them": 1200, "relabelled between the two": 3})
    '1,200 because version 1 was trained or chosen with them, 3 relabelled between the two'
    """
    return ", ".join(
        f"{count:,} {'' if reason == RELABELLED else 'because '}{reason}" for reason, count in left_out.items()
    )


def _with_source(side: Side, split: pd.DataFrame) -> pd.DataFrame:
    """The split with the texts as they came, in the column source: each bundle normalises them itself, as in production."""
    known = {} if side.raw is None else dict(zip(side.raw["comment_id"], side.raw["text"], strict=True))
    source = split["comment_id"].map(known).astype(object)
    columns = split[["comment_id", "text", "label", "part"]].reset_index(drop=True)
    return columns.assign(source=source.where(source.notna(), split["text"]).to_numpy(), language=split.get("language"))


def _joined(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """A row for each comment of the two tables, with the columns of both, which end in _before and _after."""
    places = paired(first, second)
    one, other = first.astype(object).add_suffix("_before"), second.astype(object).add_suffix("_after")
    both = one.loc[places["before"]].reset_index(drop=True).join(other.loc[places["after"]].reset_index(drop=True))
    return pd.concat(
        [both, one.drop(index=places["before"].tolist()), other.drop(index=places["after"].tolist())], ignore_index=True
    )


def _answered(before: Side, after: Side, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the answers of both bundles."""
    for name, side in (("before", before), ("after", after)):
        probabilities = Classifier(side.bundle).probabilities(rows["text"].tolist())
        answers = [side.labels[index] for index in probabilities.argmax(axis=1)]
        rows = rows.assign(**{name: answers, f"confidence_{name}": probabilities.max(axis=1)})
    return rows


def _slices(rows: pd.DataFrame, labels: Sequence[str]) -> dict[str, dict[str, Score]]:
    """Macro-F1 by language and by length, where a slice has enough comments and is not all of them."""
    lengths = rows["text"].map(lambda text: len(text.split()))
    masks = {
        "language": {str(tag): rows["language"] == tag for tag in rows["language"].dropna().value_counts().index},
        "length": {name: (lengths > low) & (lengths <= high) for name, (low, high) in LENGTHS.items()},
    }
    return {
        kind: {
            name: _score(rows[mask], labels, "macro_f1")
            for name, mask in found.items()
            if mask.sum() >= MIN_SLICE_COMMENTS
        }
        for kind, found in masks.items()
    }


def _score(rows: pd.DataFrame, labels: Sequence[str], name: str) -> Score:
    targets, one, other = (label_indices(rows[column].tolist(), labels) for column in ("label", "before", "after"))
    difference, (low, high) = paired_differences(targets, other, one, len(labels), RESAMPLES, SEED)[name]
    values = [_scores(rows, labels, "label", side)[name] for side in ("before", "after")]
    return Score(values[0], values[1], difference, low, high, len(rows))


def _scores(rows: pd.DataFrame, labels: Sequence[str], targets: str, predicted: str) -> dict[str, float]:
    return {name: float(value) for name, value in all_scores(_confusion(rows, labels, targets, predicted)).items()}


def _confusion(rows: pd.DataFrame, labels: Sequence[str], targets: str, predicted: str) -> Any:
    return confusion(
        label_indices(rows[targets].tolist(), labels), label_indices(rows[predicted].tolist(), labels), len(labels)
    )


def _intervals(rows: pd.DataFrame, labels: Sequence[str], side: str) -> dict[str, tuple[float, float]]:
    return bootstrap_intervals(_confusion(rows, labels, "label", side), RESAMPLES, SEED)

"""Scores of a classifier and their uncertainty, computed from confusion counts.

Resampling rows with replacement is equivalent to drawing confusion counts from a multinomial distribution. So a bootstrap
with thousands of resamples takes milliseconds for any number of rows.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Targets = NDArray[np.int64]
Logits = NDArray[np.floating]
Probabilities = NDArray[np.float64]
SCORES = ("accuracy", "macro_f1", "macro_recall")
ORDINAL_SCORES = ("mae", "quadratic_kappa")
"""The scores that only ordinal labels have."""


def confusion(targets: Targets, predicted: Targets, labels: int) -> NDArray[np.int64]:
    """Confusion counts of shape (labels, labels); rows are targets, columns are predictions.

    >>> confusion(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    return np.bincount(targets * labels + predicted, minlength=labels**2).reshape(labels, labels)


def per_label(counts: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Precision, recall and F1, each of shape (..., labels), from counts of shape (..., labels, labels).

    A score with denominator 0 is 0, as in scikit-learn.
    """
    hits = np.diagonal(counts, axis1=-2, axis2=-1).astype(float)
    predicted, targets = counts.sum(axis=-2), counts.sum(axis=-1)
    return {
        "precision": _ratio(hits, predicted),
        "recall": _ratio(hits, targets),
        "f1": _ratio(2 * hits, predicted + targets),
    }


def summary(counts: NDArray[np.int64], ordinal: bool = False) -> dict[str, NDArray[np.float64]]:
    """Accuracy, macro-F1 and macro recall, each of shape (...,), from counts of shape (..., labels, labels).

    Ordinal labels also have the scores of `ordinal_scores`.
    """
    scores = per_label(counts)
    hits = np.trace(counts, axis1=-2, axis2=-1)
    return {
        "accuracy": _ratio(hits, counts.sum(axis=(-2, -1))),
        "macro_f1": np.asarray(scores["f1"].mean(axis=-1)),
        "macro_recall": np.asarray(scores["recall"].mean(axis=-1)),
    } | (ordinal_scores(counts) if ordinal else {})


def ordinal_scores(counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Scores of labels that are steps of a scale, each of shape (...,), from counts of shape (..., labels, labels).

    `mae` is the mean absolute error in steps. `quadratic_kappa` is the kappa with quadratic weights (Cohen 1968): 1 where
    all predictions are right, 0 where they agree with the targets as often as by chance. It is also 0 where it is not
    defined, because all targets and predictions are one label.

    >>> scores = ordinal_scores(np.array([[2, 0, 0], [0, 1, 1], [0, 0, 2]]))
    >>> round(float(scores["mae"]), 3), round(float(scores["quadratic_kappa"]), 3)
    (0.167, 0.889)
    """
    steps = np.arange(counts.shape[-1])
    distance = np.abs(steps[:, None] - steps)
    rows = counts.sum(axis=(-2, -1))
    by_chance = counts.sum(axis=-1)[..., :, None] * counts.sum(axis=-2)[..., None, :]
    weighted = (distance**2 * by_chance).sum(axis=(-2, -1))
    observed = rows * (distance**2 * counts).sum(axis=(-2, -1))
    return {
        "mae": _ratio((distance * counts).sum(axis=(-2, -1)), rows),
        "quadratic_kappa": _ratio(weighted - observed, weighted),
    }


def macro_f1(targets: Targets, predicted: Targets, labels: int) -> float:
    """Macro-F1 over all `labels`, including those absent from the rows.

    >>> macro_f1(np.array([0, 1, 1]), np.array([0, 1, 0]), 2)
    0.6666666666666666
    """
    return float(summary(confusion(targets, predicted, labels))["macro_f1"])


def bootstrap_intervals(
    counts: NDArray[np.int64], resamples: int, seed: int, ordinal: bool = False
) -> dict[str, tuple[float, float]]:
    """95% percentile intervals (Efron 1979) of each score of `summary`, from counts of shape (labels, labels)."""
    scores = summary(_resampled(counts, resamples, seed), ordinal)
    return {name: _interval(values) for name, values in scores.items()}


def label_intervals(counts: NDArray[np.int64], resamples: int, seed: int) -> dict[str, list[tuple[float, float]]]:
    """95% percentile intervals of each label's precision, recall and F1, from counts of shape (labels, labels)."""
    scores = per_label(_resampled(counts, resamples, seed))
    return {name: [_interval(column) for column in values.T] for name, values in scores.items()}


def paired_bootstrap(
    targets: Targets, one: Targets, other: Targets, labels: int, resamples: int, seed: int
) -> tuple[float, tuple[float, float]]:
    """Difference of macro-F1 between two classifiers on the same rows, and its 95% interval by paired bootstrap.

    `one` and `other` are predicted label indices of shape (rows,). The difference is positive if `one` is better; it is
    statistically significant if 0 is outside of the interval (Efron and Tibshirani 1993).
    """
    return paired_differences(targets, one, other, labels, resamples, seed)["macro_f1"]


def paired_differences(
    targets: Targets, one: Targets, other: Targets, labels: int, resamples: int, seed: int
) -> dict[str, tuple[float, tuple[float, float]]]:
    """`paired_bootstrap` of every score in `SCORES`, and of the F1 of each label under `label_score` of its index."""
    cells, counts = np.unique(np.stack([targets, one, other]), axis=1, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(len(targets), counts / len(targets), size=resamples)

    def scores(predicted: Targets, drawn: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        membership = np.zeros((len(counts), labels**2), dtype=np.int64)
        membership[np.arange(len(counts)), cells[0] * labels + predicted] = 1
        confusions = (drawn @ membership).reshape(-1, labels, labels)
        return all_scores(confusions)

    ours, theirs = scores(cells[1], draws), scores(cells[2], draws)
    our_value, their_value = scores(cells[1], counts[None]), scores(cells[2], counts[None])
    return {
        name: (float(our_value[name][0] - their_value[name][0]), _interval(ours[name] - theirs[name])) for name in ours
    }


def all_scores(counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """`summary`, and the F1 of each label under `label_score` of its index, from counts of shape (..., labels, labels)."""
    by_label = per_label(counts)["f1"]
    return summary(counts) | {label_score(index): by_label[..., index] for index in range(by_label.shape[-1])}


def label_score(index: int) -> str:
    """The name of the F1 of the label with this index."""
    return f"f1_{index}"


def calibration_error(probabilities: Probabilities, targets: Targets, bins: int) -> float:
    """Expected calibration error (Naeini et al. 2015): mean difference of confidence and accuracy, weighted by rows.

    `probabilities` has shape (rows, labels). 0 is perfect calibration.

    >>> round(calibration_error(np.array([[0.8, 0.2], [0.8, 0.2]]), np.array([0, 1]), bins=10), 2)
    0.3
    """
    table = reliability(probabilities, targets, bins)
    rows = sum(row["comments"] for row in table)
    return float(sum(row["comments"] * abs(row["accuracy"] - row["confidence"]) for row in table) / rows)


def reliability(probabilities: Probabilities, targets: Targets, bins: int) -> list[dict[str, float]]:
    """Mean confidence, accuracy and number of comments in `bins` equal-width bins of confidence, without empty bins."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == targets
    bin_of_row = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        {
            "confidence": float(confidence[inside].mean()),
            "accuracy": float(correct[inside].mean()),
            "comments": int(inside.sum()),
        }
        for index in range(bins)
        if (inside := bin_of_row == index).any()
    ]


def label_indices(values: Sequence[str], labels: Sequence[str]) -> Targets:
    """The index in `labels` of each value, shape (values,).

    >>> label_indices(["b", "a"], ["a", "b"]).tolist()
    [1, 0]
    """
    indices = {label: index for index, label in enumerate(labels)}
    return np.array([indices[value] for value in values], dtype=np.int64)


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    zeros = np.zeros(np.shape(numerator))
    return np.asarray(np.divide(numerator, denominator, out=zeros, where=np.asarray(denominator) > 0))


def _resampled(counts: NDArray[np.int64], resamples: int, seed: int) -> NDArray[np.int64]:
    """Counts of as many rows, drawn with replacement: shape (resamples, labels, labels)."""
    rows = counts.sum()
    draws = np.random.default_rng(seed).multinomial(rows, counts.ravel() / rows, size=resamples)
    return draws.reshape(resamples, *counts.shape)


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)

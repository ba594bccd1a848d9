"""Accuracy in production: estimated from the probabilities without labels, and measured where there is feedback."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from commentwise.models.probabilities import softmax
from commentwise.monitoring.signals.reference import Reference
from commentwise.monitoring.signals.rows import Floats, Integers, Rows
from commentwise.monitoring.signals.signal import measured

RESAMPLES = 40
DRAWS = 20
TRIM = 0.98
"""Quantile of the weights at which larger ones are cut off."""
CONFIDENCE = 0.95
"""Of the intervals."""


@dataclass(frozen=True)
class Score:
    """A score and its 95% interval."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return {"value": self.value, "low": self.low, "high": self.high}

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


class Estimator:
    """Estimates accuracy and macro-F1 of a window without its labels, from recalibrated probabilities.

    With calibrated probabilities, accuracy is the mean probability of the predicted labels (CBPE). PAPE first
    recalibrates them for each window on the reference, whose comments are weighted by how likely they would be in the
    window; here by temperature scaling, with weights from a logistic regression on the signals. Both hold under covariate
    shift, when the mix of comments changes. Under concept shift, when the same comments come to mean something else, they
    do not: only labels show it.

    The intervals cover the variance of the labels given the probabilities, and the uncertainty of the temperature.

    References
    ----------
    Białek et al. 2024, "Estimating Model Performance Under Covariate Shift Without Labels"
    """

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._logits = _logits(reference.rows.probabilities)
        self._values = measured(reference.rows, reference)

    def estimate(self, rows: Rows) -> dict[str, Score]:
        """Estimate accuracy and macro-F1 of the predictions in `rows`."""
        rng = np.random.default_rng(0)
        weights, size = self._weights(rows), len(self._logits)
        logits, predicted = _logits(rows.probabilities), rows.predicted
        samples: dict[str, list[Floats]] = {"accuracy": [], "macro_f1": []}
        for _ in range(RESAMPLES):
            drawn = rng.integers(size, size=size)
            cumulated = softmax(logits, self._temperature(weights, drawn)).cumsum(axis=1)
            points = rng.random((DRAWS, len(rows), 1))
            targets = np.minimum((points > cumulated).sum(axis=2), logits.shape[1] - 1)
            samples["accuracy"].append((targets == predicted).mean(axis=1))
            samples["macro_f1"].append(_drawn_macro_f1(targets, predicted, logits.shape[1]))
        probabilities = softmax(logits, self._temperature(weights, np.arange(size)))
        expected = {
            "accuracy": float(probabilities[np.arange(len(rows)), predicted].mean()),
            "macro_f1": _expected_macro_f1(probabilities, predicted),
        }
        return {name: _score(value, np.concatenate(samples[name])) for name, value in expected.items()}

    def _weights(self, rows: Rows) -> Floats:
        """Weights of the reference's comments, shape (reference rows,): how much likelier each would be in the window."""
        values = measured(rows, self._reference)
        names = [name for name in self._values if name in values]
        both = np.concatenate([np.stack([part[name] for name in names], axis=1) for part in (values, self._values)])
        in_window = np.arange(len(both)) < len(rows)
        scaled = StandardScaler().fit_transform(both)
        # Balanced, so that the regularisation is as strong for small windows as for large ones.
        model = LogisticRegression(class_weight="balanced").fit(scaled, in_window)
        odds = np.exp(model.decision_function(scaled[~in_window]))
        trimmed = np.minimum(odds, np.quantile(odds, TRIM))  # or a handful of comments would dominate
        return np.asarray(trimmed / trimmed.mean())

    def _temperature(self, weights: Floats, drawn: Integers) -> float:
        """The temperature under which the logits fit the weighted labels best (Guo et al. 2017)."""
        logits, targets = self._logits[drawn], self._reference.targets[drawn]

        def loss(log_temperature: float) -> float:
            probabilities = softmax(logits, float(np.exp(log_temperature)))
            return float(
                -(weights[drawn] * np.log(np.clip(probabilities[np.arange(len(targets)), targets], 1e-12, 1))).sum()
            )

        return float(np.exp(minimize_scalar(loss, bounds=(-1.5, 1.5), method="bounded").x))


def baseline(reference: Reference) -> Score:
    """The bundle's accuracy on the reference, whose labels are known."""
    return _accuracy(int((reference.rows.predicted == reference.targets).sum()), len(reference.targets))


def realised(rows: Rows, settled: Mapping[str, str], labels: Sequence[str]) -> tuple[Score | None, int]:
    """Accuracy on the comments that have a label from feedback, and their number; None if there are none.

    `settled` maps text hashes to labels. People correct more than they confirm, so the accuracy tends to be too low.
    """
    correct = [
        settled[text_hash] == labels[index]
        for text_hash, index in zip(rows.hashes, rows.predicted, strict=True)
        if text_hash in settled
    ]
    return (_accuracy(sum(correct), len(correct)), len(correct)) if correct else (None, 0)


def _accuracy(correct: int, comments: int) -> Score:
    interval = binomtest(correct, comments).proportion_ci(CONFIDENCE, method="wilson")
    return Score(correct / comments, float(interval.low), float(interval.high))


def _logits(probabilities: Floats) -> Floats:
    return np.asarray(np.log(np.clip(probabilities, 1e-6, 1)))


def _score(value: float, samples: Floats) -> Score:
    low, high = np.quantile(samples, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Score(value, min(value, float(low)), max(value, float(high)))


def _expected_macro_f1(probabilities: Floats, predicted: Integers) -> float:
    labels = probabilities.shape[1]
    one_hot = np.eye(labels)[predicted]
    hits = (one_hot * probabilities).sum(axis=0)
    return float(_mean_f1(hits, one_hot.sum(axis=0), probabilities.sum(axis=0)))


def _drawn_macro_f1(targets: Integers, predicted: Integers, labels: int) -> Floats:
    """Macro-F1 for each draw of the targets, which have shape (draws, rows)."""
    ours, theirs = np.eye(labels)[predicted], np.eye(labels)[targets]
    return np.asarray(_mean_f1((ours * theirs).sum(axis=1), ours.sum(axis=0), theirs.sum(axis=1)))


def _mean_f1(hits: Floats, predicted: Floats, actual: Floats) -> Any:
    return (2 * hits / np.maximum(predicted + actual, 1e-12)).mean(axis=-1)

"""How good the answers are: estimated from the probabilities alone, and counted where feedback says what was right."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from commentwise.models.probabilities import softmax
from commentwise.monitoring.signals.reference import Reference
from commentwise.monitoring.signals.rows import Floats, Rows

RESAMPLES = 40
DRAWS_EACH = 20
TRIM = 0.98
LEVEL = 0.95


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
    """Performance estimated from probabilities that are calibrated anew for each window, without its labels.

    Białek et al. 2024, "Estimating Model Performance Under Covariate Shift Without Labels". Their CBPE takes a
    probability at its word: accuracy is the mean probability of what was answered. Their PAPE first calibrates it on
    the reference, whose comments count the more the likelier they would be in the window; here by temperature, with
    weights from a logistic regression on the signals. Both hold when other comments come (covariate shift), and not when
    the same comments come to mean something else (concept shift), which only labels show.

    The intervals have both sources of doubt: what labels such probabilities give by chance, and how well the reference
    pins the temperature down.
    """

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._logits = _logits(reference.rows.probabilities)

    def estimate(self, rows: Rows) -> dict[str, Score]:
        """Accuracy and macro-F1 of the answers in `rows`."""
        rng = np.random.default_rng(0)
        weights, size = self._weights(rows), len(self._logits)
        logits, answered = _logits(rows.probabilities), rows.predicted
        samples: dict[str, list[Floats]] = {"accuracy": [], "macro_f1": []}
        for _ in range(RESAMPLES):
            drawn = rng.integers(size, size=size)
            cumulated = softmax(logits, self._temperature(weights, drawn)).cumsum(axis=1)
            points = rng.random((DRAWS_EACH, len(rows), 1))
            true = np.minimum((points > cumulated).sum(axis=2), logits.shape[1] - 1)
            samples["accuracy"].append((true == answered).mean(axis=1))
            samples["macro_f1"].append(_drawn_macro_f1(true, answered, logits.shape[1]))
        probabilities = softmax(logits, self._temperature(weights, np.arange(size)))
        expected = {
            "accuracy": float(probabilities[np.arange(len(rows)), answered].mean()),
            "macro_f1": _expected_macro_f1(probabilities, answered),
        }
        return {name: _score(value, np.concatenate(samples[name])) for name, value in expected.items()}

    def _weights(self, rows: Rows) -> Floats:
        """How much likelier each reference comment would be in the window, up to a factor; shape (reference rows,)."""
        reference = self._reference.rows
        names = [name for name in reference.signals if name in rows.signals]
        both = np.concatenate([np.stack([part.signals[name] for name in names], axis=1) for part in (rows, reference)])
        ours = np.arange(len(both)) < len(rows)
        scaled = StandardScaler().fit_transform(both)
        # Balanced, or what holds the coefficients down would weigh more on a small window than on a large one.
        model = LogisticRegression(class_weight="balanced").fit(scaled, ours)
        odds = np.exp(model.decision_function(scaled[~ours]))
        trimmed = np.minimum(odds, np.quantile(odds, TRIM))  # or a handful of comments would decide alone
        return np.asarray(trimmed / trimmed.mean())

    def _temperature(self, weights: Floats, drawn: NDArray[np.int64]) -> float:
        """What divides the logits so that they fit the labels best (Guo et al. 2017)."""
        logits, true = self._logits[drawn], self._reference.true[drawn]

        def loss(log_temperature: float) -> float:
            probabilities = softmax(logits, float(np.exp(log_temperature)))
            return float(-(weights[drawn] * np.log(np.clip(probabilities[np.arange(len(true)), true], 1e-12, 1))).sum())

        return float(np.exp(minimize_scalar(loss, bounds=(-1.5, 1.5), method="bounded").x))


def baseline(reference: Reference) -> Score:
    """The bundle's accuracy on the reference, whose labels are known."""
    return _counted(int((reference.rows.predicted == reference.true).sum()), len(reference.true))


def realised(rows: Rows, labels: Mapping[str, str], names: list[str]) -> tuple[Score | None, int]:
    """Accuracy on the comments that feedback has labelled (by text hash), and their number; None where there are none.

    People correct more than they confirm, so it tends to be too low.
    """
    judged = [
        labels[name] == names[number]
        for name, number in zip(rows.hashes, rows.predicted, strict=True)
        if name in labels
    ]
    return (_counted(sum(judged), len(judged)), len(judged)) if judged else (None, 0)


def _counted(right: int, of: int) -> Score:
    interval = binomtest(right, of).proportion_ci(LEVEL, method="wilson")
    return Score(right / of, float(interval.low), float(interval.high))


def _logits(probabilities: Floats) -> Floats:
    return np.asarray(np.log(np.clip(probabilities, 1e-6, 1)))


def _score(value: float, samples: Floats) -> Score:
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Score(value, min(value, float(low)), max(value, float(high)))


def _expected_macro_f1(probabilities: Floats, predicted: NDArray[np.int64]) -> float:
    labels = probabilities.shape[1]
    answered = np.eye(labels)[predicted]
    hits = (answered * probabilities).sum(axis=0)
    return float(_mean_f1(hits, answered.sum(axis=0), probabilities.sum(axis=0)))


def _drawn_macro_f1(true: NDArray[np.int64], answered: NDArray[np.int64], labels: int) -> Floats:
    """For labels drawn many times, shape (draws, rows)."""
    mine, right = np.eye(labels)[answered], np.eye(labels)[true]
    return np.asarray(_mean_f1((mine * right).sum(axis=1), mine.sum(axis=0), right.sum(axis=1)))


def _mean_f1(hits: Floats, answered: Floats, true: Floats) -> Any:
    return (2 * hits / np.maximum(answered + true, 1e-12)).mean(axis=-1)

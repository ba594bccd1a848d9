"""Choosing a cascade: which linear model answers first, and how sure it has to be.

Both are chosen on the validation part, where the encoder loses no more macro-F1 to the cascade than is allowed; what is
chosen is then measured on the test part like every other variant.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from commentwise.models.probabilities import softmax
from commentwise.training.candidate import Predictions
from commentwise.training.scores import Labels, Probabilities, paired_bootstrap

SHARES = np.arange(0.95, 0.04, -0.01)
"""Shares of the comments that the linear model may answer; below the last a cascade is not worth its name."""
INTERVAL_IN_STANDARD_ERRORS = 2 * 1.96


@dataclass(frozen=True)
class Cascade:
    """A linear model before the encoder, as it does on the validation part."""

    family: str
    temperature: float
    """That calibrates the linear model."""
    threshold: float
    """The calibrated probability from which the linear model answers."""
    share: float
    """Of the comments, answered by the linear model."""
    f1_loss: float
    """Against the encoder alone."""
    standard_error: float
    """Of that loss, by paired bootstrap."""


def choose_cascade(
    encoder: Predictions,
    linear: Mapping[str, tuple[Predictions, float]],
    max_f1_loss: float,
    resamples: int,
    seed: int,
) -> Cascade | None:
    """The cascade that asks the encoder least often, or nothing where none holds the limit.

    `linear` has each linear family's predictions on the encoder's rows and the temperature that calibrates them. The
    loss plus one standard error has to stay within `max_f1_loss`: the best of many thresholds looks better than it is
    (the one-standard-error rule, Breiman et al. 1984).
    """
    found = [
        cascade
        for family, (predictions, temperature) in linear.items()
        if (cascade := _largest(family, predictions, temperature, encoder, max_f1_loss, resamples, seed))
    ]
    return max(found, key=lambda cascade: cascade.share, default=None)


def _largest(
    family: str,
    linear: Predictions,
    temperature: float,
    encoder: Predictions,
    max_f1_loss: float,
    resamples: int,
    seed: int,
) -> Cascade | None:
    confidence = calibrated(linear.probabilities, temperature).max(axis=1)
    for share in SHARES:
        threshold = float(np.quantile(confidence, 1 - share))
        sure = confidence >= threshold
        loss, (low, high) = paired_bootstrap(
            encoder.true,
            encoder.predicted,
            answers(sure, linear.predicted, encoder.predicted),
            encoder.probabilities.shape[1],
            resamples,
            seed,
        )
        error = (high - low) / INTERVAL_IN_STANDARD_ERRORS
        if loss + error <= max_f1_loss:
            return Cascade(family, temperature, threshold, float(sure.mean()), loss, error)
    return None


def answers(sure: NDArray[np.bool_], linear: Labels, encoder: Labels) -> Labels:
    """The cascade's labels: the linear model's where it is sure, else the encoder's."""
    return np.where(sure, linear, encoder)


def calibrated(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Probabilities after a temperature, which may scale their logarithms as it scales logits."""
    return softmax(np.log(np.maximum(probabilities, 1e-12)), temperature)

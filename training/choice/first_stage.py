"""Choosing the first stage of a cascade: which cheap model answers first, and above which confidence.

Both are chosen on the validation part, within the allowed loss of macro-F1. The result is then measured on the test
part like every other variant.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from commentwise.models.probabilities import softmax
from commentwise.training.candidate import Predictions
from commentwise.training.scores import Targets, paired_bootstrap

SHARES = np.arange(0.95, 0.04, -0.01)
"""Shares of the comments that the first stage may answer; below the last a cascade saves too little."""
INTERVAL_IN_STANDARD_ERRORS = 2 * 1.96


@dataclass(frozen=True)
class Cascade:
    """A cheap model in front of the encoder, with its figures on the validation part."""

    family: str
    temperature: float
    """Calibrates the first stage."""
    threshold: float
    """The calibrated probability from which the first stage answers."""
    share: float
    """Share of the comments that the first stage answers."""
    f1_loss: float
    """Macro-F1 lost against the encoder alone."""
    standard_error: float
    """Standard error of that loss, by paired bootstrap."""


def choose_cascade(
    encoder: Predictions,
    first: Mapping[str, tuple[Predictions, float]],
    max_f1_loss: float,
    resamples: int,
    seed: int,
) -> Cascade | None:
    """The cascade that runs the encoder least often, or None where none stays within the limit.

    `first` has, by family, the predictions on the encoder's rows and the temperature that calibrates them. The loss
    plus one standard error must stay within `max_f1_loss`, since the best of many thresholds looks better than it is
    (the one-standard-error rule, Breiman et al. 1984).
    """
    found = [
        cascade
        for family, (predictions, temperature) in first.items()
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
    confidence = softmax(linear.logits, temperature).max(axis=1)
    for share in SHARES:
        threshold = float(np.quantile(confidence, 1 - share))
        sure = confidence >= threshold
        loss, (low, high) = paired_bootstrap(
            encoder.targets,
            encoder.predicted,
            answers(sure, linear.predicted, encoder.predicted),
            encoder.logits.shape[1],
            resamples,
            seed,
        )
        error = (high - low) / INTERVAL_IN_STANDARD_ERRORS
        if loss + error <= max_f1_loss:
            return Cascade(family, temperature, threshold, float(sure.mean()), loss, error)
    return None


def answers(sure: NDArray[np.bool_], linear: Targets, encoder: Targets) -> Targets:
    """The cascade's labels: the first stage's where it is confident, else the encoder's."""
    return np.where(sure, linear, encoder)

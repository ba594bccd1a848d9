"""Choosing the first stage of a cascade: a cheap model, and the confidence above which its label is final.

Both are chosen on the validation part, within the allowed loss of macro-F1. The cascade is then measured on the test part
like every other variant.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from commentwise.models.probabilities import softmax
from commentwise.training.candidate import Predictions
from commentwise.training.scores import Targets, paired_bootstrap

SHARES = np.arange(0.95, 0.04, -0.01)
"""Shares of the comments for the first stage, in the order in which they are tried. A smaller share saves too little."""
INTERVAL_WIDTH = 2 * 1.96
"""Width of a 95% interval in standard errors."""


@dataclass(frozen=True)
class Cascade:
    """A cheap model in front of the encoder, with its measurements on the validation part."""

    family: str
    temperature: float
    """The temperature that calibrates the first stage."""
    threshold: float
    """The first stage's label is final if its calibrated probability is at least this."""
    share: float
    """Share of the comments whose label comes from the first stage."""
    f1_loss: float
    """Macro-F1 of the encoder alone minus that of the cascade."""
    standard_error: float
    """Standard error of that loss, by paired bootstrap."""


def choose_cascade(
    encoder: Predictions,
    first: Mapping[str, tuple[Predictions, float]],
    max_f1_loss: float,
    resamples: int,
    seed: int,
) -> Cascade | None:
    """The cascade that runs the encoder least often, or None if none stays within the limit.

    `first` has, by family, the predictions for the same comments and the temperature that calibrates them. The loss plus
    one standard error must be at most `max_f1_loss`, because the best of many thresholds is selected by chance too (the
    one-standard-error rule, Breiman et al. 1984).
    """
    cascades = [
        cascade
        for family, (predictions, temperature) in first.items()
        if (cascade := _largest(family, predictions, temperature, encoder, max_f1_loss, resamples, seed))
    ]
    return max(cascades, key=lambda cascade: cascade.share, default=None)


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
        confident = confidence >= threshold
        loss, (low, high) = paired_bootstrap(
            encoder.targets,
            encoder.predicted,
            cascade_labels(confident, linear.predicted, encoder.predicted),
            encoder.logits.shape[1],
            resamples,
            seed,
        )
        standard_error = (high - low) / INTERVAL_WIDTH
        if loss + standard_error <= max_f1_loss:
            return Cascade(family, temperature, threshold, float(confident.mean()), loss, standard_error)
    return None


def cascade_labels(confident: NDArray[np.bool_], first: Targets, encoder: Targets) -> Targets:
    """The predicted label indices of a cascade: of the first stage where it is confident, else of the encoder.

    All arrays have shape (rows,).
    """
    return np.where(confident, first, encoder)

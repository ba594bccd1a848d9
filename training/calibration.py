"""Temperature scaling: calibrates a model's confidence with one number, without changing a label."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from commentwise.models.probabilities import softmax
from commentwise.training.scores import Targets


def fit_temperature(logits: NDArray[np.floating], targets: Targets) -> float:
    """The temperature that minimises the cross-entropy of `softmax(logits / temperature)` (Guo et al. 2017).

    `logits` has shape (rows, labels) and `targets` shape (rows,). The result is between 0.01 and 100.
    """

    def cross_entropy(log_temperature: float) -> float:
        probabilities = softmax(logits, float(np.exp(log_temperature)))
        return float(-np.log(np.maximum(probabilities[np.arange(len(targets)), targets], 1e-12)).mean())

    result = minimize_scalar(cross_entropy, bounds=(np.log(0.01), np.log(100)), method="bounded")
    return float(np.exp(result.x))

"""Logits to calibrated probabilities."""

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """Row-wise softmax of `logits / temperature`; shape (n, labels) in and out.

    A temperature above 1 makes a model less sure of itself (Guo et al. 2017, "On Calibration of Modern Neural Networks").
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))

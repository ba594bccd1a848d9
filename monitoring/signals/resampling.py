"""Two-sample statistics whose null distribution is drawn from the reference.

To tell how far a window of n comments strays from the reference by chance, n comments are drawn from the reference many
times and compared with the rest of it. Every signal thus gets a p-value that is valid for its own distribution, ties and
window size. The rest is smaller than the whole reference that a window is compared with, which makes the p-values
conservative.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from commentwise.monitoring.signals.rows import Floats, Integers

DRAWS = 2000


@dataclass(frozen=True)
class Outcome:
    """A test's result on one window."""

    statistic: float
    p_value: float
    words: tuple[str, ...] = ()
    """Words that distinguish the window from the reference, from tests that find any."""


class Resampled:
    """The null distribution of one signal's statistic, for windows of `size` comments.

    Parameters
    ----------
    values
        The reference's values, shape (rows,). Indices below `categories` if those are given.
    size
        Comments per window.
    categories
        Number of categories: compares shares by the population stability index. 0 for quantities, which are compared
        by the Kolmogorov-Smirnov statistic.
    """

    def __init__(self, values: Floats | Integers, size: int, categories: int = 0) -> None:
        self._values = np.sort(values)
        self._categories = categories
        rng = np.random.default_rng(size)
        kinds, codes = np.unique(values, return_inverse=True)
        width = categories or len(kinds)
        codes = np.asarray(values if categories else codes, dtype=np.int64)
        whole = np.bincount(codes, minlength=width)
        # At most half of the reference, so that enough is left to compare with.
        self._size = min(size, len(values) // 2)
        chosen = np.argpartition(rng.random((DRAWS, len(values))), self._size, axis=1)[:, : self._size]
        places = codes[chosen] + width * np.arange(DRAWS)[:, None]
        drawn = np.bincount(places.ravel(), minlength=DRAWS * width).reshape(DRAWS, width)
        rest = whole - drawn
        self._null = np.sort(psi(drawn, rest) if categories else _ks_of_counts(drawn, rest))

    def test(self, window: Floats | Integers) -> Outcome:
        """Compare a window of `size` comments with the reference."""
        if self._categories:
            counts = [np.bincount(values, minlength=self._categories) for values in (window, self._values)]
            statistic = float(psi(*counts))
        else:
            statistic = _ks(np.sort(window), self._values)
        at_least_as_far = DRAWS - int(np.searchsorted(self._null, statistic - 1e-12))
        return Outcome(statistic, (1 + at_least_as_far) / (1 + DRAWS))


def psi(one: Integers, other: Integers) -> Floats:
    """Population stability index between counts of shape (..., categories), with half a comment added to each count."""
    shares = [(counts + 0.5) / (counts + 0.5).sum(axis=-1, keepdims=True) for counts in (one, other)]
    return np.asarray(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum(axis=-1))


def holm(p_values: dict[str, float]) -> dict[str, float]:
    """Adjust p-values by Holm's step-down method (1979), which bounds the probability of any false alarm among all.

    Examples
    --------
    >>> holm({"tokens": 0.01, "label": 0.2})
    {'tokens': 0.02, 'label': 0.2}
    """
    adjusted, highest = {}, 0.0
    for rank, (name, p_value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_value))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def mmd(window: Floats, reference: Floats, permutations: int = 1000) -> Outcome:
    """Squared maximum mean discrepancy between embeddings of shape (rows, width), with its permutation p-value.

    Gretton et al. 2012, "A Kernel Two-Sample Test", with a Gaussian kernel of the median distance's width.
    """
    both = np.concatenate([window, reference])
    squares = (both**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares[None] - 2 * both @ both.T, 0)
    kernel = np.exp(-distances / max(float(np.median(distances)), 1e-12))
    weights = np.where(np.arange(len(both)) < len(window), 1 / len(window), -1 / len(reference))
    rng = np.random.default_rng(0)
    draws = np.stack([weights, *(rng.permutation(weights) for _ in range(permutations))])
    found = ((draws @ kernel) * draws).sum(axis=1)
    at_least_as_far = int((found[1:] >= found[0] - 1e-12).sum())
    return Outcome(float(found[0]), (1 + at_least_as_far) / (1 + permutations))


def _ks(window: NDArray[np.number], reference: NDArray[np.number]) -> float:
    """Kolmogorov-Smirnov statistic of sorted values. SciPy's function takes fifty times as long, for its p-value."""
    values = np.concatenate([window, reference])
    shares = [np.searchsorted(part, values, side="right") / len(part) for part in (window, reference)]
    return float(np.abs(shares[0] - shares[1]).max())


def _ks_of_counts(drawn: Integers, rest: Integers) -> Floats:
    """Kolmogorov-Smirnov statistics, shape (draws,), from counts of shape (draws, values) in the order of the values."""
    cumulated = [counts.cumsum(axis=1) / counts[0].sum() for counts in (drawn, rest)]
    return np.asarray(np.abs(cumulated[0] - cumulated[1]).max(axis=1))

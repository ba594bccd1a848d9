"""Two-sample statistics whose thresholds come from the reference itself.

How far a window of n comments strays from the reference by chance is not looked up: n comments are drawn from the
reference many times and held against the rest of it. So every signal, whatever its ties and its shape, has a p-value
that is right for this reference and this size. Drawing leaves a smaller rest than the whole reference that a window is
held against, which errs on the side of too few alarms.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from commentwise.monitoring.signals.rows import Floats

DRAWS = 2000


@dataclass(frozen=True)
class Outcome:
    """A statistic of a window, and how often chance alone gives as much."""

    statistic: float
    p_value: float


class Resampled:
    """The statistics of one signal under the reference alone, for windows of `size`."""

    def __init__(self, values: NDArray[np.float64] | NDArray[np.int64], size: int, categories: int = 0) -> None:
        """`values`: the reference's, shape (rows,); numbers below `categories` where it is a category, not a quantity."""
        self._values = np.sort(values)
        self._categories = categories
        rng = np.random.default_rng(size)
        kinds, codes = np.unique(values, return_inverse=True)
        width = categories or len(kinds)
        codes = np.asarray(values if categories else codes, dtype=np.int64)
        whole = np.bincount(codes, minlength=width)
        # At most half of the reference: the rest must remain something to compare with.
        self._size = min(size, len(values) // 2)
        chosen = np.argpartition(rng.random((DRAWS, len(values))), self._size, axis=1)[:, : self._size]
        places = codes[chosen] + width * np.arange(DRAWS)[:, None]
        drawn = np.bincount(places.ravel(), minlength=DRAWS * width).reshape(DRAWS, width)
        rest = whole - drawn
        self._null = np.sort(psi(drawn, rest) if categories else _ks(drawn, rest))

    def test(self, window: NDArray[np.float64] | NDArray[np.int64]) -> Outcome:
        """How far a window of that size is from the reference."""
        if self._categories:
            counts = [np.bincount(values, minlength=self._categories) for values in (window, self._values)]
            statistic = float(psi(*counts))
        else:
            statistic = _farthest(np.sort(window), self._values)
        as_far = DRAWS - int(np.searchsorted(self._null, statistic - 1e-12))
        return Outcome(statistic, (1 + as_far) / (1 + DRAWS))


def psi(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float64]:
    """Population stability index between counts of shape (..., categories); half a comment is added to each count."""
    shares = [(counts + 0.5) / (counts + 0.5).sum(axis=-1, keepdims=True) for counts in (one, other)]
    return np.asarray(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum(axis=-1))


def holm(p_values: dict[str, float]) -> dict[str, float]:
    """Holm's step-down correction (1979): the chance of any false alarm among all stays below the level."""
    adjusted, highest = {}, 0.0
    for rank, (name, p_value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_value))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def mmd(window: Floats, reference: Floats, permutations: int = 1000) -> Outcome:
    """Maximum mean discrepancy between embeddings of shape (rows, width), squared, with its permutation p-value.

    Gretton et al. 2012, "A Kernel Two-Sample Test"; a Gaussian kernel as wide as the median distance.
    """
    both = np.concatenate([window, reference])
    squares = (both**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares[None] - 2 * both @ both.T, 0)
    kernel = np.exp(-distances / max(float(np.median(distances)), 1e-12))
    weights = np.where(np.arange(len(both)) < len(window), 1 / len(window), -1 / len(reference))
    rng = np.random.default_rng(0)
    draws = np.stack([weights, *(rng.permutation(weights) for _ in range(permutations))])
    found = ((draws @ kernel) * draws).sum(axis=1)
    as_far = int((found[1:] >= found[0] - 1e-12).sum())
    return Outcome(float(found[0]), (1 + as_far) / (1 + permutations))


def _farthest(window: NDArray[np.number], reference: NDArray[np.number]) -> float:
    """Kolmogorov and Smirnov's statistic of sorted values. SciPy's function takes fifty times as long for its p-value."""
    values = np.concatenate([window, reference])
    shares = [np.searchsorted(part, values, side="right") / len(part) for part in (window, reference)]
    return float(np.abs(shares[0] - shares[1]).max())


def _ks(drawn: NDArray[np.int64], rest: NDArray[np.int64]) -> Floats:
    """Kolmogorov and Smirnov's statistic from counts of shape (draws, values), the values in order."""
    cumulated = [counts.cumsum(axis=1) / counts[0].sum() for counts in (drawn, rest)]
    return np.asarray(np.abs(cumulated[0] - cumulated[1]).max(axis=1))

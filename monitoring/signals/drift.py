"""Drift detection: windows of the prediction log are compared with the reference, signal by signal.

For a window that resembles the reference, the probability of any false alarm among all signals is at most
FALSE_ALARM_RATE (Holm's correction). One drifted window is a warning, two in a row are an alert.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from commentwise.models.bundle import is_bundle
from commentwise.monitoring.signals.reference import Reference
from commentwise.monitoring.signals.resampling import Outcome, Resampled, holm
from commentwise.monitoring.signals.rows import Floats, Rows
from commentwise.monitoring.signals.signal import SIGNALS, Signal, confidence, measured

FALSE_ALARM_RATE = 0.05
"""At most this share of the windows that resemble the reference drifts; two in a row do far less often."""
ALPHA = FALSE_ALARM_RATE / 2
"""Threshold of the adjusted p-values. Half of the rate, since the reference is a sample itself: compared with an unusual
one of a few hundred comments, every window looks somewhat unusual."""

Severity = Literal["none", "warn", "alert"]


@dataclass(frozen=True)
class Verdict:
    """The tests' results on one window."""

    rows: Rows
    outcomes: dict[str, Outcome]
    """By the signal's name, in the order of `SIGNALS`; only those that the window allows to test."""
    adjusted: dict[str, float]
    """p-values after Holm's correction, by the signal's name."""
    severity: Severity = "none"

    @property
    def tested(self) -> list[Signal]:
        """The signals that were tested, the most informative first."""
        return [signal for signal in SIGNALS if signal.name in self.outcomes]

    @property
    def drifted(self) -> list[str]:
        """Names of the signals that differ significantly, by p-value, then by statistic."""
        significant = [name for name, p_value in self.adjusted.items() if p_value <= ALPHA]
        return sorted(significant, key=lambda name: (self.adjusted[name], -self.outcomes[name].statistic))

    @property
    def words(self) -> list[str]:
        """Words that distinguish the window from the reference, where texts are logged."""
        return [word for outcome in self.outcomes.values() for word in outcome.words]


class Detector:
    """Compares windows with one reference.

    Parameters
    ----------
    reference
        The reference of the bundle that answered.
    bundle
        The folder of that bundle, which embeddings need. None, or another bundle, leaves them out.
    """

    def __init__(self, reference: Reference, bundle: Path | None) -> None:
        if bundle is not None and not is_bundle(bundle, reference.bundle_id):
            print(f"drift: embeddings are left out: {bundle} is not bundle {reference.bundle_id[:12]}", flush=True)
            bundle = None
        if reference.rows.languages is None:
            print("drift: languages are left out: the reference has none: create it again with `commentwise reference`")
        self._has_languages = reference.rows.languages is not None
        self._tests = {signal.name: signal.method.against(reference, bundle) for signal in SIGNALS}

    def judge(self, windows: Sequence[Rows]) -> list[Verdict]:
        """Test consecutive windows, oldest first."""
        if self._has_languages and (unknown := sum(window.languages is None for window in windows)):
            print(
                f"drift: languages are left out of {unknown} windows: an earlier version logged comments without",
                flush=True,
            )
        verdicts: list[Verdict] = []
        for window in windows:
            verdict = self.test(window)
            if verdict.drifted:
                again = bool(verdicts and verdicts[-1].drifted)
                verdict = replace(verdict, severity="alert" if again else "warn")
            verdicts.append(verdict)
        return verdicts

    def test(self, window: Rows) -> Verdict:
        """Test one window on its own: its severity is "none"."""
        found = {name: test(window) for name, test in self._tests.items()}
        outcomes = {name: outcome for name, outcome in found.items() if outcome is not None}
        return Verdict(window, outcomes, holm({name: outcome.p_value for name, outcome in outcomes.items()}))


def latest_run(verdicts: Sequence[Verdict]) -> int:
    """Index of the first window of the latest run: since then all windows have drifted, or none has."""
    state = bool(verdicts[-1].drifted)
    return next(
        index for index in reversed(range(len(verdicts))) if index == 0 or bool(verdicts[index - 1].drifted) != state
    )


def power(
    reference: Reference, sizes: Sequence[int], losses: Sequence[float], trials: int = 60
) -> dict[str, list[float]]:
    """Share of windows that would be noticed, by the loss of accuracy; one share per window size.

    Windows are drawn from the reference with uncertain comments weighted up, until the expected accuracy has fallen by
    the loss (exponential tilting). Only signals that need no texts are used.
    """
    rng = np.random.default_rng(0)
    rows = reference.rows.without_texts()
    values, curves = measured(rows, reference), {}
    nulls = {size: {name: Resampled(expected, size) for name, expected in values.items()} for size in sizes}
    for loss in losses:
        weights = _tilted(confidence(rows, reference), loss)
        curves[f"{loss:g}"] = [
            float(
                np.mean(
                    [
                        _is_noticed(measured(rows.take(rng.choice(len(rows), size, p=weights)), reference), nulls[size])
                        for _ in range(trials)
                    ]
                )
            )
            for size in sizes
        ]
    return curves


def _is_noticed(window: dict[str, Floats], nulls: dict[str, Resampled]) -> bool:
    adjusted = holm({name: null.test(window[name]).p_value for name, null in nulls.items()})
    return min(adjusted.values()) <= ALPHA


def _tilted(confidences: Floats, loss: float) -> Floats:
    """Weights, shape (rows,), under which the mean confidence is lower by `loss`."""
    target = confidences.mean() - loss
    low, high = 0.0, 50.0
    for _ in range(40):
        middle = (low + high) / 2
        weights = np.exp(-middle * confidences)
        weights /= weights.sum()
        low, high = (middle, high) if weights @ confidences > target else (low, middle)
    return weights

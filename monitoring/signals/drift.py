"""Are the comments still those the model was made for?

  python -m commentwise.monitoring.signals.drift

Windows of the prediction log are held against the reference, signal by signal. Of all that is tested in one window the
chance of any false alarm is at most STATED (Holm). One window is a warning, two in a row are an alert.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from commentwise.errors import run_command
from commentwise.models.bundle import MANIFEST, bundle_id
from commentwise.models.prediction_log import opened
from commentwise.monitoring.settings import WindowSettings, read
from commentwise.monitoring.signals.reference import Reference, load_reference
from commentwise.monitoring.signals.resampling import Outcome, Resampled, holm, mmd
from commentwise.monitoring.signals.rows import SIGNALS, Floats, Rows, read_rows, windows_of
from commentwise.monitoring.signals.texts import Embedder, tell_apart

STATED = 0.05
"""At most this share of the windows that are like the reference is taken for drifted; two in a row far less often."""
LEVEL = STATED / 2
"""What the adjusted p-values are held against. Half, since the reference is itself a sample: against an odd one of some
hundred comments, every window looks a little odd."""

Severity = Literal["none", "warn", "alert"]


@dataclass(frozen=True)
class Verdict:
    """What came of one window."""

    rows: Rows
    outcomes: dict[str, Outcome]
    adjusted: dict[str, float]
    """p-values after Holm's correction."""
    words: list[str]
    """That give the window away, where texts are known."""
    severity: Severity = field(default="none")

    @property
    def drifted(self) -> list[str]:
        """The signals beyond chance, the surest first; among equals the farthest."""
        beyond = [name for name, p_value in self.adjusted.items() if p_value <= LEVEL]
        return sorted(beyond, key=lambda name: (self.adjusted[name], -self.outcomes[name].statistic))


def latest_run(verdicts: Sequence[Verdict]) -> int:
    """Number of the window since which all have been drifted, or none has, up to the latest."""
    state = bool(verdicts[-1].drifted)
    return next(
        number
        for number in reversed(range(len(verdicts)))
        if number == 0 or bool(verdicts[number - 1].drifted) != state
    )


class Detector:
    """Holds windows against one reference."""

    def __init__(self, reference: Reference, bundle: Path | None) -> None:
        """`bundle` is needed for embeddings; None, or another bundle than the reference's, leaves them out."""
        if bundle is not None and not _is_of(bundle, reference):
            print(
                f"drift: embeddings are left out, since {bundle} is not bundle {reference.bundle_id[:12]}", flush=True
            )
            bundle = None
        self._reference = reference
        self._bundle = bundle
        self._null = cache(self._resampled)
        self._embedder = cache(self._embedded_reference)

    def judge(self, windows: Sequence[Rows]) -> list[Verdict]:
        """Verdicts on consecutive windows, oldest first."""
        verdicts: list[Verdict] = []
        for window in windows:
            found = self.test(window)
            severity: Severity = "none"
            if found.drifted:
                severity = "alert" if verdicts and verdicts[-1].drifted else "warn"
            verdicts.append(Verdict(found.rows, found.outcomes, found.adjusted, found.words, severity))
        return verdicts

    def test(self, window: Rows) -> Verdict:
        """All signals of one window."""
        window, reference = self._reference.completed(window), self._reference.rows
        outcomes = {"label": self._null("label", len(window)).test(window.predicted)}
        for name in window.signals:
            outcomes[name] = self._null(name, len(window)).test(window.signals[name])
        words: list[str] = []
        if window.texts is not None and reference.texts is not None:
            told = tell_apart(window.texts.tolist(), reference.texts.tolist())
            outcomes["domain"], words = told.auc, told.words
            if self._bundle is not None:
                embedder, vectors = self._embedder(self._bundle)
                outcomes["embedding"] = mmd(embedder.embed(window.texts.tolist()), vectors)
        adjusted = holm({name: outcome.p_value for name, outcome in outcomes.items()})
        return Verdict(window, outcomes, adjusted, words)

    def _resampled(self, name: str, size: int) -> Resampled:
        rows = self._reference.rows
        if name == "label":
            return Resampled(rows.predicted, size, categories=len(self._reference.labels))
        return Resampled(rows.signals[name], size)

    def _embedded_reference(self, bundle: Path) -> tuple[Embedder, Floats]:
        embedder = Embedder(bundle)
        assert self._reference.rows.texts is not None
        return embedder, embedder.embed(self._reference.rows.texts.tolist())


def power(
    reference: Reference, sizes: Sequence[int], losses: Sequence[float], trials: int = 60
) -> dict[str, list[float]]:
    """By loss of accuracy: how often a single window of each size would be noticed, from the figures alone.

    Windows are drawn from the reference so that uncertain comments come more often, until the expected accuracy has
    fallen by the loss (exponential tilting).
    """
    rng = np.random.default_rng(0)
    rows, curves = reference.rows, {}
    nulls = {size: {name: Resampled(rows.signals[name], size) for name in SIGNALS} for size in sizes}
    for loss in losses:
        weights = _tilted(rows.signals["confidence"], loss)
        curves[f"{loss:g}"] = [
            float(
                np.mean(
                    [_noticed(rows.take(rng.choice(len(rows), size, p=weights)), nulls[size]) for _ in range(trials)]
                )
            )
            for size in sizes
        ]
    return curves


def _noticed(window: Rows, nulls: dict[str, Resampled]) -> bool:
    adjusted = holm({name: null.test(window.signals[name]).p_value for name, null in nulls.items()})
    return min(adjusted.values()) <= LEVEL


def _tilted(confidence: Floats, loss: float) -> Floats:
    wanted = confidence.mean() - loss
    low, high = 0.0, 50.0
    for _ in range(40):
        middle = (low + high) / 2
        weights = np.exp(-middle * confidence)
        weights /= weights.sum()
        low, high = (middle, high) if weights @ confidence > wanted else (low, middle)
    return weights


def _is_of(bundle: Path, reference: Reference) -> bool:
    return (bundle / MANIFEST).is_file() and bundle_id(bundle) == reference.bundle_id


def load_windows(settings: WindowSettings) -> tuple[Reference, list[Rows]]:
    """The reference, and the log's latest windows. Raises CommentwiseError when either is missing."""
    reference = load_reference(settings.reference)
    with opened(settings.prediction_log) as connection:
        rows = read_rows(connection, reference.bundle_id, reference.labels, settings.window * settings.windows)
    return reference, windows_of(rows, settings.window)


def main() -> None:
    """Print the verdict on each window."""
    from commentwise.monitoring.signals.summary import describe_signal, span

    settings = read(WindowSettings, "drift")
    reference, windows = load_windows(settings)
    if not windows:
        print(f"drift: fewer than {settings.window} different comments so far: nothing to say yet")
        return
    for verdict in Detector(reference, settings.bundle).judge(windows):
        first = verdict.drifted[:3]
        causes = "; ".join(describe_signal(name, verdict, reference) for name in first) or "like the reference"
        print(f"{span(verdict.rows.time[0], verdict.rows.time[-1])}  {verdict.severity:<6} {causes}")


if __name__ == "__main__":
    run_command(main)

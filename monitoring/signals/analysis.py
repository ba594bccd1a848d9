"""Everything that is found out about the latest windows, together."""

from dataclasses import dataclass
from typing import Any

from commentwise.errors import CommentwiseError
from commentwise.models.prediction_log import opened
from commentwise.monitoring.actions.labelled import read_feedback, settled_labels
from commentwise.monitoring.settings import WindowSettings
from commentwise.monitoring.signals.drift import STATED, Detector, Severity, Verdict, latest_run, load_windows, power
from commentwise.monitoring.signals.performance import Estimator, Score, baseline, realised
from commentwise.monitoring.signals.reference import Reference
from commentwise.monitoring.signals.rows import joined
from commentwise.monitoring.signals.summary import summary

POWER_SIZES = (30, 50, 100, 150, 200, 400)
POWER_LOSSES = (0.05, 0.1)


@dataclass(frozen=True)
class Analysis:
    """The findings. Lists have one entry per window, oldest first."""

    reference: Reference
    baseline: Score
    verdicts: list[Verdict]
    estimates: list[dict[str, Score]]
    counted: list[tuple[Score | None, int]]
    """Accuracy by feedback, and the number of comments behind it."""
    estimate: Score
    """Accuracy since the latest change: over all windows that the summary speaks of."""
    summary: str

    @property
    def severity(self) -> Severity:
        """That of the latest window."""
        return self.verdicts[-1].severity

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "bundle_id": self.reference.bundle_id,
            "severity": self.severity,
            "summary": self.summary,
            "stated_false_alarm_rate": STATED,
            "baseline_accuracy": self.baseline.as_dict(),
            "estimated_accuracy": self.estimate.as_dict(),
            "windows": [self._window(number) for number in range(len(self.verdicts))],
        }

    def _window(self, number: int) -> dict[str, Any]:
        verdict, (score, comments) = self.verdicts[number], self.counted[number]
        return {
            "from": verdict.rows.time[0],
            "to": verdict.rows.time[-1],
            "comments": len(verdict.rows),
            "severity": verdict.severity,
            "drifted": verdict.drifted,
            "words": verdict.words,
            "signals": {
                name: {"statistic": found.statistic, "p_value": found.p_value, "adjusted": verdict.adjusted[name]}
                for name, found in verdict.outcomes.items()
            },
            "means": {name: float(values.mean()) for name, values in verdict.rows.signals.items()},
            "estimated": {name: found.as_dict() for name, found in self.estimates[number].items()},
            "by_feedback": {"accuracy": score.as_dict() if score else None, "comments": comments},
        }


def analyse(settings: WindowSettings) -> Analysis:
    """Look at the log's latest windows. Raises CommentwiseError when there is not one whole window yet."""
    reference, windows = load_windows(settings)
    if not windows:
        raise CommentwiseError(
            f"the log holds fewer than {settings.window} different comments of this bundle: wait, or give a smaller --window"
        )
    with opened(settings.prediction_log) as connection:
        labels = settled_labels(read_feedback(connection))
    verdicts = Detector(reference, settings.bundle).judge(windows)
    estimator, before = Estimator(reference), baseline(reference)
    estimates = [estimator.estimate(verdict.rows) for verdict in verdicts]
    counted = [realised(verdict.rows, labels, reference.labels) for verdict in verdicts]
    run = verdicts[latest_run(verdicts) :]
    together = joined([verdict.rows for verdict in run])
    since = estimator.estimate(together)["accuracy"]
    words = summary(run, reference, before, since, realised(together, labels, reference.labels))
    return Analysis(reference, before, verdicts, estimates, counted, since, words)


def power_curves(reference: Reference) -> tuple[list[int], dict[str, list[float]]]:
    """Window sizes that the reference has twice as many comments as, and how often one would be noticed, by loss."""
    sizes = [size for size in POWER_SIZES if 2 * size <= len(reference.rows)]
    return sizes, power(reference, sizes, POWER_LOSSES)

"""The complete analysis of the log's latest windows: drift, accuracy and summary."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commentwise.errors import CommentwiseError
from commentwise.models.bundle import is_bundle
from commentwise.models.names import bundle_folder
from commentwise.models.prediction_log import opened
from commentwise.monitoring.champion import find_champion
from commentwise.monitoring.project import MonitoredProject
from commentwise.monitoring.settings import WindowSettings
from commentwise.monitoring.signals.drift import FALSE_ALARM_RATE, Detector, Severity, Verdict, latest_run, power
from commentwise.monitoring.signals.human_labels import read_feedback, settled_labels
from commentwise.monitoring.signals.performance import Estimator, Score, baseline, realised
from commentwise.monitoring.signals.reference import Reference, create, load_reference
from commentwise.monitoring.signals.rows import joined, latest_bundle, read_rows, windows_of
from commentwise.monitoring.signals.signal import measured
from commentwise.monitoring.signals.summary import summary

POWER_SIZES = (30, 50, 100, 150, 200, 400)
POWER_LOSSES = (0.05, 0.1)


@dataclass(frozen=True)
class Analysis:
    """The findings. Lists have one entry per window, oldest first."""

    reference: Reference
    baseline: Score
    """Accuracy on the reference."""
    verdicts: list[Verdict]
    estimates: list[dict[str, Score]]
    """Estimated accuracy and macro_f1."""
    realised: list[tuple[Score | None, int]]
    """Accuracy according to feedback, and the number of comments it comes from."""
    estimate: Score
    """Estimated accuracy over the latest run of windows, which the summary describes."""
    summary: str

    @property
    def severity(self) -> Severity:
        """Severity of the latest window."""
        return self.verdicts[-1].severity

    def as_dict(self) -> dict[str, Any]:
        """The findings as JSON."""
        return {
            "bundle_id": self.reference.bundle_id,
            "severity": self.severity,
            "summary": self.summary,
            "stated_false_alarm_rate": FALSE_ALARM_RATE,
            "baseline_accuracy": self.baseline.as_dict(),
            "estimated_accuracy": self.estimate.as_dict(),
            "windows": [self._window(index) for index in range(len(self.verdicts))],
        }

    def _window(self, index: int) -> dict[str, Any]:
        verdict, (score, comments) = self.verdicts[index], self.realised[index]
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
            "means": self.means(index),
            "estimated": {name: found.as_dict() for name, found in self.estimates[index].items()},
            "by_feedback": {"accuracy": score.as_dict() if score else None, "comments": comments},
        }

    def means(self, index: int) -> dict[str, float]:
        """Means of a window's signals, by name."""
        values = measured(self.verdicts[index].rows, self.reference)
        return {name: float(found.mean()) for name, found in values.items()}


def analyse(settings: WindowSettings) -> Analysis:
    """Analyse the log's latest windows.

    Raises CommentwiseError when there is no log, no reference of the bundle that gave the latest answer, or the log
    does not fill a window yet.
    """
    project = MonitoredProject()
    with opened(settings.prediction_log) as connection:
        reference, bundle = reference_of(latest_bundle(connection), settings, project)
        rows = read_rows(connection, reference.bundle_id, reference.labels, settings.window * settings.windows)
        labels = settled_labels(read_feedback(connection))
    windows = windows_of(rows, settings.window)
    if not windows:
        raise CommentwiseError(
            f"the log holds {len(rows)} distinct comments of this bundle, fewer than a window of {settings.window}: wait, or give a smaller --window"
        )
    verdicts = Detector(reference, bundle).judge(windows)
    estimator, before = Estimator(reference), baseline(reference)
    estimates = [estimator.estimate(verdict.rows) for verdict in verdicts]
    counted = [realised(verdict.rows, labels, reference.labels) for verdict in verdicts]
    run = verdicts[latest_run(verdicts) :]
    together = joined([verdict.rows for verdict in run])
    estimate = estimator.estimate(together)["accuracy"]
    text = summary(run, reference, before, estimate, realised(together, labels, reference.labels))
    return Analysis(reference, before, verdicts, estimates, counted, estimate, text)


def reference_of(latest: str, settings: WindowSettings, project: MonitoredProject) -> tuple[Reference, Path]:
    """The reference of the bundle with the id `latest`, created if it is missing, and the folder of that bundle.

    That bundle is the one that is named, the project's, or the champion. Raises CommentwiseError if the reference is of
    another bundle and none of these is the one with the id.
    """
    path = settings.reference
    reference = load_reference(path) if path.is_file() else None
    fits = reference is not None and reference.bundle_id == latest
    bundle, champion = bundle_folder(settings.bundle) if settings.bundle else project.bundle, None
    if not settings.bundle and not is_bundle(bundle, latest):
        champion = find_champion(project)
        if champion and champion.bundle_id == latest:
            print(f"{champion} is fetched from the registry: {bundle} is another bundle", flush=True)
            bundle = champion.folder
    if not fits and is_bundle(bundle, latest):
        create(bundle, project.prepared, path, project.root)
    elif reference and not fits:
        ids = f"the latest predictions are of bundle {latest[:12]} and the reference is of {reference.bundle_id[:12]}"
        if champion and champion.bundle_id == reference.bundle_id:
            way_out = f"serve that one, {champion}, with `commentwise serve --model models:/{champion.model}@champion`"
        else:
            way_out = "create the reference of the bundle in production with `commentwise reference --bundle FOLDER`"
        raise CommentwiseError(f"{ids}: {way_out}")
    return load_reference(path), bundle


def power_curves(reference: Reference) -> tuple[list[int], dict[str, list[float]]]:
    """Window sizes, up to half of the reference, and the share of windows noticed at each, by loss of accuracy."""
    sizes = [size for size in POWER_SIZES if 2 * size <= len(reference.rows)]
    return sizes, power(reference, sizes, POWER_LOSSES)

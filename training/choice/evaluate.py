"""Stage evaluate@family: measure one candidate on the validation and test parts.

Writes metrics.json with scores and 95% intervals, and the tables of three plots: confusion, reliability, learning.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commentwise.errors import run_command
from commentwise.fileio import atomic_folder, write_json
from commentwise.models.probabilities import softmax
from commentwise.training.calibration import fit_temperature
from commentwise.training.candidate import Predictions, read_history, read_predictions
from commentwise.training.families import catalog
from commentwise.training.project import HELD_OUT, Project
from commentwise.training.scores import (
    bootstrap_intervals,
    calibration_error,
    confusion,
    per_label,
    reliability,
    summary,
)
from commentwise.training.settings import Settings, load_settings

MIN_LANGUAGE_COMMENTS = 30
"""Comments of a part in one language that give it scores of its own: with fewer, the interval is too wide to say anything."""


def main() -> None:
    """Evaluate the family named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m commentwise.training.choice.evaluate", description=__doc__)
    parser.add_argument("family", choices=catalog.names(), help="a section of `families` in params.yaml")
    family = parser.parse_args().family
    project = Project()
    metrics = evaluate(project, family, load_settings(project.params))
    score = metrics["test"]["scores"]["macro_f1"]
    print(
        f"evaluate@{family}: test macro-F1 {score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f}), temperature {metrics['temperature']:.2f}"
    )


def evaluate(project: Project, family: str, settings: Settings) -> dict[str, Any]:
    """Evaluate one candidate and write its evaluation folder; return the metrics.

    The temperature is fitted on the validation part, so that the test part measures calibration on unseen comments.
    """
    labels = settings.labels
    candidate = project.candidate(family)
    parts = {part: read_predictions(candidate, part, labels) for part in HELD_OUT}
    temperature = fit_temperature(parts["validation"].logits, parts["validation"].targets)
    metrics: dict[str, Any] = {"temperature": temperature}
    metrics |= {part: describe(predictions, temperature, settings) for part, predictions in parts.items()}
    test = parts["test"]
    calibrated = softmax(test.logits, temperature)
    with atomic_folder(project.evaluated(family).parent) as folder:
        write_json(folder / "metrics.json", metrics)
        _write_csv(
            folder / "confusion.csv",
            [
                {"actual": labels[target], "predicted": labels[predicted]}
                for target, predicted in zip(test.targets, test.predicted, strict=True)
            ],
        )
        _write_csv(folder / "reliability.csv", reliability(calibrated, test.targets, settings.evaluate.bins))
        _write_csv(folder / "learning.csv", _learning_curve(candidate))
    return metrics


def describe(predictions: Predictions, temperature: float, settings: Settings) -> dict[str, Any]:
    """Scores with 95% intervals, scores by label and language, confusion counts, and calibration error before and after scaling."""
    labels, bins = settings.labels, settings.evaluate.bins
    counts = confusion(predictions.targets, predictions.predicted, len(labels))
    by_label = per_label(counts)
    return {
        "comments": len(predictions.targets),
        "scores": scores_of(counts, settings),
        "labels": {
            label: {name: float(values[number]) for name, values in by_label.items()}
            | {"comments": int(counts[number].sum())}
            for number, label in enumerate(labels)
        },
        "languages": _by_language(predictions, settings),
        "confusion": counts.tolist(),
        "ece": calibration_error(predictions.probabilities, predictions.targets, bins),
        "ece_calibrated": calibration_error(softmax(predictions.logits, temperature), predictions.targets, bins),
    }


def scores_of(counts: NDArray[np.int64], settings: Settings) -> dict[str, dict[str, float]]:
    """Each score with its 95% interval, from counts of shape (labels, labels)."""
    intervals = bootstrap_intervals(counts, settings.evaluate.resamples, settings.seed, settings.is_ordinal)
    return {
        name: {"value": float(value), "low": intervals[name][0], "high": intervals[name][1]}
        for name, value in summary(counts, settings.is_ordinal).items()
    }


def _by_language(predictions: Predictions, settings: Settings) -> dict[str, Any]:
    """The scores of every language with `MIN_LANGUAGE_COMMENTS`, the most frequent one first."""
    languages = np.array(predictions.languages, dtype=np.str_)
    names, totals = np.unique(languages, return_counts=True)
    found = {}
    for index in np.argsort(-totals, kind="stable"):
        if totals[index] >= MIN_LANGUAGE_COMMENTS:
            rows = languages == names[index]
            counts = confusion(predictions.targets[rows], predictions.predicted[rows], len(settings.labels))
            found[str(names[index])] = {"comments": int(totals[index]), "scores": scores_of(counts, settings)}
    return found


def _learning_curve(folder: Path) -> list[dict[str, Any]]:
    """The history with all columns in every row, as DVC's plots require."""
    history = read_history(folder)
    columns = list(dict.fromkeys(name for row in history for name in row))
    return [{name: row.get(name, "") for name in columns} for row in history]


def _write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    run_command(main)

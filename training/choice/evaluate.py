"""Stage evaluate@family: measure one candidate on the validation and test parts.

Writes metrics.json with scores and 95% intervals, and the tables behind three plots: confusion, reliability, learning.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from commentwise.errors import run_command
from commentwise.fileio import atomic_folder, write_json
from commentwise.models.probabilities import softmax
from commentwise.training.calibration import fit_temperature
from commentwise.training.candidate import HELD_OUT, Predictions, read_history, read_predictions
from commentwise.training.project import CANDIDATES, EVALUATION, FAMILIES
from commentwise.training.scores import (
    bootstrap_intervals,
    calibration_error,
    confusion,
    per_label,
    reliability,
    summary,
)
from commentwise.training.settings import EvaluateSettings, Settings, load_settings


def main() -> None:
    """Evaluate the family named on the command line in the current folder."""
    parser = argparse.ArgumentParser(prog="python -m commentwise.training.choice.evaluate", description=__doc__)
    parser.add_argument("family", choices=FAMILIES)
    family = parser.parse_args().family
    metrics = evaluate(family, load_settings())
    score = metrics["test"]["scores"]["macro_f1"]
    print(
        f"evaluate@{family}: test macro-F1 {score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f}), temperature {metrics['temperature']:.2f}"
    )


def evaluate(family: str, settings: Settings) -> dict[str, Any]:
    """Evaluate one candidate and write its evaluation folder; return the metrics.

    The temperature is fitted on the validation part, so the test part's calibration is that of unseen comments.
    """
    labels, options = settings.labels, settings.evaluate
    parts = {part: read_predictions(family, part, labels) for part in HELD_OUT}
    # Probabilities are as good as logits here: both give the same softmax once the temperature divides them.
    temperature = fit_temperature(_logits(parts["validation"]), parts["validation"].true)
    metrics: dict[str, Any] = {"temperature": temperature}
    metrics |= {
        part: describe(predictions, temperature, labels, options, settings.seed) for part, predictions in parts.items()
    }
    test = parts["test"]
    calibrated = softmax(_logits(test), temperature)
    with atomic_folder(EVALUATION / family) as folder:
        write_json(folder / "metrics.json", metrics)
        _write_csv(
            folder / "confusion.csv",
            [
                {"actual": labels[true], "predicted": labels[predicted]}
                for true, predicted in zip(test.true, test.predicted, strict=True)
            ],
        )
        _write_csv(folder / "reliability.csv", reliability(calibrated, test.true, options.bins))
        _write_csv(folder / "learning.csv", _learning_curve(CANDIDATES / family))
    return metrics


def describe(
    predictions: Predictions, temperature: float, labels: Sequence[str], options: EvaluateSettings, seed: int
) -> dict[str, Any]:
    """Scores with intervals, scores per label, confusion counts, and calibration error before and after scaling."""
    counts = confusion(predictions.true, predictions.predicted, len(labels))
    intervals = bootstrap_intervals(counts, options.resamples, seed)
    scores = {
        name: {"value": float(value), "low": intervals[name][0], "high": intervals[name][1]}
        for name, value in summary(counts).items()
    }
    by_label = per_label(counts)
    return {
        "comments": len(predictions.true),
        "scores": scores,
        "labels": {
            label: {name: float(values[number]) for name, values in by_label.items()}
            | {"comments": int(counts[number].sum())}
            for number, label in enumerate(labels)
        },
        "confusion": counts.tolist(),
        "ece": calibration_error(predictions.probabilities, predictions.true, options.bins),
        "ece_calibrated": calibration_error(softmax(_logits(predictions), temperature), predictions.true, options.bins),
    }


def _logits(predictions: Predictions) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(np.log(np.maximum(predictions.probabilities, 1e-12)))


def _learning_curve(folder: Path) -> list[dict[str, Any]]:
    """The history's lines with every column present, as DVC's plots want them."""
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

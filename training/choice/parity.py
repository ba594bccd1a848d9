"""Comparing a variant of a graph with the fp32 reference: quality, agreement, independence of the batch, speed."""

import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commentwise.models.probabilities import softmax
from commentwise.training.families.family import Runner
from commentwise.training.resources import Stopwatch
from commentwise.training.scores import Probabilities, Targets, macro_f1
from commentwise.training.settings import ExportSettings

BATCH_SIZE = 32
SAMPLE = 500
"""Comments that are predicted again in another order."""
TIMED_ROWS = 300
REPEATS = 3
SEED = 0
"""Seed of that order."""


@dataclass(frozen=True)
class Parity:
    """A variant compared with the fp32 reference on the test part."""

    macro_f1: float
    f1_loss: float
    agreement: float
    """Share of comments with the same label as in fp32."""
    largest_difference: float
    """Largest difference of a probability from that of fp32."""
    neighbour_label_changes: int
    """Comments whose label depends on the other comments in the batch."""
    neighbour_shift: float
    """Largest change of a probability caused by other comments in the batch."""

    def failures(self, limits: ExportSettings) -> list[str]:
        """One message for each limit that is exceeded; empty if the variant may replace fp32."""
        failures = []
        if self.f1_loss > limits.max_f1_loss:
            failures.append(
                f"it loses {100 * self.f1_loss:.2f} points of macro-F1 (at most {100 * limits.max_f1_loss:g})"
            )
        if self.agreement < limits.min_agreement:
            failures.append(f"it gives {self.agreement:.2%} of fp32's labels (at least {limits.min_agreement:.1%})")
        if self.neighbour_label_changes:
            failures.append(f"{self.neighbour_label_changes} labels depend on the comment's neighbours")
        if self.neighbour_shift > limits.max_shift:
            failures.append(
                f"neighbours move a probability by {self.neighbour_shift:.3f} (at most {limits.max_shift:g})"
            )
        return failures

    def as_dict(self) -> dict[str, Any]:
        """The fields rounded to 6 digits, for JSON."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


def measure(
    engine: Runner,
    rows: Sequence[Sequence[int]],
    reference: Probabilities,
    targets: Targets,
    temperature: float,
    batched: bool,
) -> Parity:
    """Predict all comments as the device would, in batches or one by one, and compare with fp32's `reference`.

    `rows` has the token ids of each comment, `reference` the calibrated probabilities of shape (rows, labels). To measure
    the dependence on the batch, the first comments are predicted again in another order.
    """
    predict = partial(in_batches, engine) if batched else engine.logits
    predicted = softmax(predict(rows), temperature)
    sample = np.random.default_rng(SEED).permutation(min(len(rows), SAMPLE))
    again = softmax(predict([rows[number] for number in sample]), temperature)
    return compare(predicted, again, sample, reference, targets)


def compare(
    predicted: Probabilities,
    again: Probabilities,
    sample: NDArray[np.int64],
    reference: Probabilities,
    targets: Targets,
) -> Parity:
    """Compare probabilities of shape (rows, labels) with fp32's `reference`, and with a second prediction.

    `again` has the probabilities of the second prediction, for the rows in `sample`.
    """
    labels = reference.shape[1]
    score = macro_f1(targets, predicted.argmax(axis=1), labels)
    before = predicted[sample]
    return Parity(
        macro_f1=score,
        f1_loss=macro_f1(targets, reference.argmax(axis=1), labels) - score,
        agreement=float((predicted.argmax(axis=1) == reference.argmax(axis=1)).mean()),
        largest_difference=float(np.abs(predicted - reference).max()),
        neighbour_label_changes=int((before.argmax(axis=1) != again.argmax(axis=1)).sum()),
        neighbour_shift=float(np.abs(before - again).max()),
    )


def batch_effect(engine: Runner, rows: Sequence[Sequence[int]], temperature: float) -> dict[str, float]:
    """Differences between predictions in padded batches and one by one: label changes, largest shift of a probability."""
    sample = rows[:SAMPLE]
    alone = softmax(engine.logits(sample), temperature)
    together = softmax(in_batches(engine, sample), temperature)
    changes = int((alone.argmax(axis=1) != together.argmax(axis=1)).sum())
    return {"comments": len(sample), "label_changes": changes, "shift": round(float(np.abs(alone - together).max()), 6)}


def in_batches(engine: Runner, rows: Sequence[Sequence[int]], at_once: int = 1) -> NDArray[np.float32]:
    """Logits of shape (rows, labels) from padded batches of similar length, `at_once` batches in parallel."""
    order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
    batches = [order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)]
    with ThreadPoolExecutor(at_once) as pool:
        run = pool.map(lambda batch: engine.batch_logits([rows[number] for number in batch]), batches)
        logits = np.concatenate(list(run))
    return np.asarray(logits[np.argsort(order)])


def comments_per_second(run: Callable[[Sequence[Sequence[int]]], NDArray[Any]], rows: Sequence[Sequence[int]]) -> float:
    """Median throughput of a few repeats with the same comments, after a warm-up."""
    sample = rows[:TIMED_ROWS]
    rates = []
    for repeat in range(REPEATS + 1):
        stopwatch = Stopwatch()
        run(sample)
        if repeat:
            rates.append(len(sample) / stopwatch.seconds)
    return round(statistics.median(rates), 1)

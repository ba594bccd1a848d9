"""What a variant of a model is worth next to its fp32 reference: quality, agreement, invariance, speed."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.engine import Engine
from models.probabilities import softmax
from training.metrics import Labels, Probabilities, macro_f1
from training.resources import Stopwatch
from training.settings import ExportSettings

BATCH_SIZE = 32
TIMED_ROWS = 500
REPEATS = 3


@dataclass(frozen=True)
class Parity:
    """A variant measured on the test part against the fp32 reference."""

    macro_f1: float
    f1_loss: float
    agreement: float
    """Share of comments that get fp32's label."""
    largest_difference: float
    """Of any probability from fp32's."""
    neighbour_label_changes: int
    """Comments whose label depends on their neighbours, served as the device serves them."""
    neighbour_shift: float
    """The most that neighbours move any probability."""

    def failures(self, limits: ExportSettings) -> list[str]:
        """Each limit that is not held, in words; empty when the variant may replace fp32."""
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
        """For JSON, rounded to what the measurement can tell."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


def measure(alone: Probabilities, among_others: Probabilities, reference: Probabilities, true: Labels) -> Parity:
    """Compare probabilities of shape (rows, labels): each comment alone, the same among others, and fp32's."""
    labels = reference.shape[1]
    score = macro_f1(true, alone.argmax(axis=1), labels)
    return Parity(
        macro_f1=score,
        f1_loss=macro_f1(true, reference.argmax(axis=1), labels) - score,
        agreement=float((alone.argmax(axis=1) == reference.argmax(axis=1)).mean()),
        largest_difference=float(np.abs(alone - reference).max()),
        neighbour_label_changes=int((alone.argmax(axis=1) != among_others.argmax(axis=1)).sum()),
        neighbour_shift=float(np.abs(alone - among_others).max()),
    )


def alone(engine: Engine, rows: Sequence[Sequence[int]], temperature: float) -> Probabilities:
    """Each comment by itself."""
    return softmax(np.concatenate([engine.batch_logits([row]) for row in rows]), temperature)


def as_served(engine: Engine, rows: Sequence[Sequence[int]], temperature: float) -> Probabilities:
    """All comments handed to the engine at once, in another order, so that every one has other neighbours."""
    order = np.random.default_rng(0).permutation(len(rows))
    answers = engine.logits([rows[number] for number in order])
    return softmax(answers[np.argsort(order)], temperature)


def in_batches(engine: Engine, rows: Sequence[Sequence[int]], temperature: float) -> Probabilities:
    """Padded batches of like length, as a GPU serves them."""
    order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
    batches = [order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)]
    answers = np.concatenate([engine.batch_logits([rows[number] for number in batch]) for batch in batches])
    return softmax(answers[np.argsort(order)], temperature)


def comments_per_second(run: Callable[[Sequence[Sequence[int]]], NDArray[Any]], rows: Sequence[Sequence[int]]) -> float:
    """Median throughput over a few repeats on the same comments, after one that is not counted."""
    sample = rows[:TIMED_ROWS]
    rates = []
    for repeat in range(REPEATS + 1):
        stopwatch = Stopwatch()
        run(sample)
        if repeat:
            rates.append(len(sample) / stopwatch.seconds)
    return round(statistics.median(rates), 1)

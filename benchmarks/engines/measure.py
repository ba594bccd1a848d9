"""Measurement of engines: their answers once, their speeds in rounds over all engines."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from benchmarks.engines.contenders import Answer, Contender
from benchmarks.engines.result import Batch, Engine, Quality
from benchmarks.engines.speed import Timing, median, time_contender, timed_windows
from benchmarks.result import Interval
from commentwise.training.candidate import Part
from commentwise.training.choice.parity import SAMPLE, Parity, compare
from commentwise.training.scores import Probabilities, bootstrap_intervals, calibration_error, confusion, summary
from commentwise.training.settings import Settings


@dataclass(frozen=True)
class Effort:
    """The extent of the measurements."""

    rounds: int
    seconds: float
    """Length of one timing."""
    batch_sizes: tuple[int, ...]
    comments: int | None
    """Test comments whose answers are compared; None for all."""


@dataclass(frozen=True)
class Answers:
    """An engine's answers to the test comments."""

    alone: Probabilities
    """One comment per call, shape (comments, labels)."""
    quality: dict[int, Quality]
    """By batch size: the answers alone against fp32's, and the changes that batches make to the first of them."""


def measure(contenders: dict[str, Contender], test: Part, effort: Effort, settings: Settings) -> dict[str, Engine]:
    """Measure every contender. The first is the reference that the others' answers are compared with."""
    answers: dict[str, Answers] = {}
    reference = None
    for name, contender in contenders.items():
        answers[name] = _answer_all(contender, test, reference, effort)
        reference = answers[name].alone if reference is None else reference
        print(f"engines: {name} has answered", flush=True)
    windows = timed_windows(test.texts)
    timings: dict[str, list[dict[int, Timing]]] = {name: [] for name in contenders}
    for number in range(effort.rounds):
        for name, contender in contenders.items():
            with contender.open() as answer:
                timed = {
                    size: time_contender(contender, answer, windows, size, effort.seconds)
                    for size in effort.batch_sizes
                }
            timings[name].append(timed)
            fastest = max(timing.comments_per_second for timing in timed.values())
            print(f"engines: round {number + 1} of {effort.rounds}: {name}, {fastest:.0f} comments/s", flush=True)
    return {
        name: _engine(contender, test, answers[name], timings[name], effort, settings)
        for name, contender in contenders.items()
    }


def quality_of(parity: Parity) -> Quality:
    """A comparison with fp32 as it is written to results, rounded to the precision of the measurement."""
    return {
        "macro_f1": round(parity.macro_f1, 6),
        "f1_loss": round(parity.f1_loss, 6),
        "agreement": round(parity.agreement, 6),
        "largest_difference": round(parity.largest_difference, 6),
        "neighbour_label_changes": parity.neighbour_label_changes,
        "neighbour_shift": round(parity.neighbour_shift, 6),
    }


def _answer_all(contender: Contender, test: Part, reference: Probabilities | None, effort: Effort) -> Answers:
    texts, targets = test.texts[: effort.comments], test.targets[: effort.comments]
    sample = np.arange(min(len(texts), SAMPLE))
    with contender.open() as answer:
        alone = _probabilities(contender, answer, texts, 1)
        together = {size: _probabilities(contender, answer, texts[: len(sample)], size) for size in effort.batch_sizes}
    reference = alone if reference is None else reference
    return Answers(
        alone,
        {size: quality_of(compare(alone, batched, sample, reference, targets)) for size, batched in together.items()},
    )


def _probabilities(contender: Contender, answer: Answer, texts: Sequence[str], size: int) -> Probabilities:
    """The contender's answers in batches of `size`, in the order of the texts."""
    order = list(range(len(texts)))
    if contender.sorts_by_length:
        order.sort(key=lambda number: len(texts[number]))
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    with ThreadPoolExecutor(contender.concurrent_calls) as pool:
        parts = list(pool.map(lambda batch: answer([texts[number] for number in batch]), batches))
    return np.asarray(np.concatenate(parts)[np.argsort(order)])


def _engine(
    contender: Contender,
    test: Part,
    answers: Answers,
    timings: list[dict[int, Timing]],
    effort: Effort,
    settings: Settings,
) -> Engine:
    batches: dict[str, Batch] = {
        str(size): {
            **median([round_[size] for round_ in timings]),
            "neighbour_label_changes": quality["neighbour_label_changes"],
            "neighbour_shift": quality["neighbour_shift"],
        }
        for size, quality in answers.quality.items()
    }
    best = _best_size(batches, settings.export.max_shift)
    targets = test.targets[: effort.comments]
    return {
        "runtime": contender.runtime,
        "precision": contender.precision,
        "what": contender.description,
        "size": contender.size,
        "ece": round(calibration_error(answers.alone, targets, settings.evaluate.bins), 4),
        "macro_f1": _macro_f1(answers.alone, test, effort, settings),
        "batches": batches,
        "best": best,
        "quality": answers.quality[int(best)],
        "share_of_peak": None,
    }


def _best_size(batches: dict[str, Batch], max_shift: float) -> str:
    """The fastest batch size among those in which neighbours change no answer, or among all if there is none."""
    steady = [
        size
        for size, batch in batches.items()
        if not batch["neighbour_label_changes"] and batch["neighbour_shift"] <= max_shift
    ]
    return max(steady or batches, key=lambda size: batches[size]["comments_per_second"])


def _macro_f1(answers: Probabilities, test: Part, effort: Effort, settings: Settings) -> Interval:
    counts = confusion(test.targets[: effort.comments], answers.argmax(axis=1), len(settings.labels))
    low, high = bootstrap_intervals(counts, settings.evaluate.resamples, settings.seed)["macro_f1"]
    return {"value": float(summary(counts)["macro_f1"]), "low": low, "high": high}

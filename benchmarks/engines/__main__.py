"""Engines in one process: the ways to run the trained encoder on this machine, from the transformers pipeline to a cascade.

  python -m benchmarks.engines [--quick] [--root FOLDER]

FOLDER is a repository in which the pipeline has run (here, by default). The encoder is measured even where a linear
model won. Every way gets the test comments as texts; answers, speed and latency are measured at several batch sizes, in
rounds over all ways, since machines drift. Run it on a quiet machine.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification

from benchmarks.engines.matrix_peak import UNITS, measure_peak
from benchmarks.engines.rows import CASCADE, INT8, PIPELINE, Answer, Row, Subject, linear_row, make_rows
from benchmarks.engines.speed import SEED, WINDOW, median, speed, timed_windows
from benchmarks.engines.subject import BUNDLE, CHECKPOINT, FAMILY, make_subject
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import read_json, write_json
from commentwise.models.bundle import TOKENIZER
from commentwise.models.cores import available_cores
from commentwise.models.tokens import encode, load_tokenizer
from commentwise.training.candidate import GRAPH, Part, read_part
from commentwise.training.choice.export import CALIBRATION_COMMENTS
from commentwise.training.choice.parity import SAMPLE, compare
from commentwise.training.finetune.flops import training_flops
from commentwise.training.finetune.precision import use_all_cores
from commentwise.training.project import CANDIDATES, EVALUATION, LINEAR_FAMILIES, PREPARED
from commentwise.training.provenance import environment_facts, git_facts
from commentwise.training.resources import processor_name
from commentwise.training.scores import Probabilities, bootstrap_intervals, calibration_error, confusion, summary
from commentwise.training.settings import Settings, load_settings

RESULT = Path("benchmarks/results/engines.json")


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    rounds: int
    seconds: float
    batch_sizes: tuple[int, ...]
    comments: int | None
    """Of the test part, for answers; none for all."""


FULL = Effort(3, 1.5, (1, 8, 32, 128), None)
QUICK = Effort(1, 0.3, (1, 32), 128)


def main() -> None:
    """Measure what the command line names, write the figures, and say what came out."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engines", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=Path(), help="where the pipeline ran (default: here)")
    parser.add_argument("--quick", action="store_true", help="one short round, few comments")
    parser.add_argument("--out", type=Path, default=RESULT, help="the figures as JSON (default: %(default)s)")
    options = parser.parse_args()
    result = run(options.root, QUICK if options.quick else FULL)
    result["command"] = shlex.join(["python", "-m", "benchmarks.engines", *sys.argv[1:]])
    write_json(options.out, result)
    for name, facts in result["engines"].items():
        print(f"engines: {name}: {_outcome(facts)}")


def _outcome(facts: dict[str, Any]) -> str:
    if "missing" in facts:
        return f"missing: {facts['missing']}"
    best = facts["batches"][facts["best"]]
    return (
        f"{best['comments_per_second']:.0f} comments/s in batches of {facts['best']}, "
        f"{100 * facts['quality']['f1_loss']:.2f} points of macro-F1 lost"
    )


def run(root: Path, effort: Effort) -> dict[str, Any]:
    """Measure every way to run the encoder that the pipeline in `root` trained.

    Raises CommentwiseError when the pipeline has not run there, or has too few test comments.
    """
    make_subject(root)
    settings = load_settings()
    test = read_part("test", settings.labels, root / PREPARED)
    if len(test.texts) < WINDOW:
        raise CommentwiseError(f"{root / PREPARED} has {len(test.texts)} test comments, and {WINDOW} are needed")
    use_all_cores()
    peak = measure_peak(effort.rounds, effort.seconds / 3)
    with TemporaryDirectory(prefix="engines-") as scratch:
        subject = Subject(BUNDLE, CHECKPOINT, _calibration(root, settings), Path(scratch))
        rows, missing = make_rows(subject)
        print(f"engines: {len(rows)} ways to run the encoder; their answers first", flush=True)
        measured = _measure([*rows, *_linear_rows(root, subject)], test, effort, settings)
        operations, lengths = _operations(subject, test)
    for row in rows:
        best = measured[row.name]["batches"][measured[row.name]["best"]]
        share = best["comments_per_second"] * operations / 1e9 / peak[UNITS[row.precision]]["value"]
        on_cpu = row.name != CASCADE and not row.name.endswith("GPU")
        measured[row.name]["share_of_peak"] = round(share, 4) if on_cpu else None
    if CASCADE in measured:
        measured[CASCADE]["cascade"] = _cascade_facts(subject, settings)
    return {
        "machine": {"processor": processor_name(), "cores": available_cores()},
        "environment": environment_facts(),
        "git": git_facts(),
        "seed": SEED,
        "rounds": effort.rounds,
        "seconds": effort.seconds,
        "data": str(root / PREPARED),
        "model": {
            "family": FAMILY,
            "checkpoint": subject.manifest.checkpoint,
            "labels": settings.labels,
            "parameters": read_json(root / CANDIDATES / FAMILY / "metrics.json")["parameters"],
        },
        "comments": {
            "test": len(test.texts),
            "timed": len(timed_windows(test.texts)) * WINDOW,
            "mean_tokens": round(float(lengths.mean()), 1),
            "median_tokens": float(np.median(lengths)),
            "longest_tokens": int(lengths.max()),
        },
        "peak": peak,
        "operations_per_comment": operations,
        "engines": {row.name: measured[row.name] for row in rows}
        | {name: {"missing": reason} for name, reason in missing.items()},
        "served": INT8,
        "pipeline": PIPELINE,
        "models": _trade_off(root, measured),
    }


def _cascade_facts(subject: Subject, settings: Settings) -> dict[str, Any]:
    """How the cascade chooses, as it was chosen on the validation part."""
    (choice,) = (entry["cascade"] for entry in subject.manifest.files.values() if "cascade" in entry)
    return {
        "linear": choice["family"],
        "threshold": round(choice["threshold"], 4),
        "share_answered_by_linear": round(choice["share"], 4),
        "limit": settings.export.max_f1_loss,
    }


def _linear_rows(root: Path, subject: Subject) -> list[Row]:
    temperatures = {
        family: float(read_json(root / EVALUATION / family / "metrics.json")["temperature"])
        for family in LINEAR_FAMILIES
    }
    return [
        linear_row(family, root / CANDIDATES / family / GRAPH, temperature, subject)
        for family, temperature in temperatures.items()
    ]


def _calibration(root: Path, settings: Settings) -> list[list[int]]:
    tokenizer = load_tokenizer(BUNDLE / TOKENIZER, settings.max_tokens)
    return encode(tokenizer, read_part("train", settings.labels, root / PREPARED).texts[:CALIBRATION_COMMENTS])


def _operations(subject: Subject, test: Part) -> tuple[float, Any]:
    """Operations of a forward pass per comment, a multiply-add as two, and the comments' lengths in tokens."""
    lengths = np.array([len(row) for row in encode(subject.tokenizer, test.texts)])
    model = AutoModelForSequenceClassification.from_pretrained(subject.checkpoint, dtype=torch.float32)
    return training_flops(model, lengths) / 3 / len(lengths), lengths  # the backward pass costs twice the forward one


def _measure(rows: Sequence[Row], test: Part, effort: Effort, settings: Settings) -> dict[str, dict[str, Any]]:
    """Answers once, speeds in rounds: every row's figures by name. The first row is what the others are held against."""
    measured = {}
    reference = None
    for row in rows:
        measured[row.name], alone = _quality(row, test, reference, effort, settings)
        reference = alone if reference is None else reference
        print(f"engines: {row.name} has answered", flush=True)
    windows = timed_windows(test.texts)
    rounds: dict[str, list[dict[int, dict[str, Any]]]] = {row.name: [] for row in rows}
    for number in range(effort.rounds):
        for row in rows:
            with row.open() as answer:
                speeds = {size: speed(row, answer, windows, size, effort.seconds) for size in effort.batch_sizes}
            rounds[row.name].append(speeds)
            fastest = max(facts["comments_per_second"] for facts in speeds.values())
            print(f"engines: round {number + 1} of {effort.rounds}: {row.name}, {fastest:.0f} comments/s", flush=True)
    for name, found in rounds.items():
        _add_speeds(measured[name], found, settings)
    return measured


def _quality(
    row: Row, test: Part, reference: Probabilities | None, effort: Effort, settings: Settings
) -> tuple[dict[str, Any], Probabilities]:
    """A row's answers, comments alone, against fp32's; and what batches change of them, on the first comments."""
    texts, true = test.texts[: effort.comments], test.true[: effort.comments]
    sample = np.arange(min(len(texts), SAMPLE))
    with row.open() as answer:
        alone = _answers(row, answer, texts, 1)
        together = {size: _answers(row, answer, texts[: len(sample)], size) for size in effort.batch_sizes}
    reference = alone if reference is None else reference
    parities = {
        str(size): compare(alone, answers, sample, reference, true).as_dict() for size, answers in together.items()
    }
    facts = {
        "runtime": row.runtime,
        "precision": row.precision,
        "what": row.what,
        "size": row.size,
        "parities": parities,
        "ece": round(calibration_error(alone, true, settings.evaluate.bins), 4),
        "macro_f1": _interval(alone, test, effort, settings),
    }
    return facts, alone


def _interval(answers: Probabilities, test: Part, effort: Effort, settings: Settings) -> dict[str, float]:
    counts = confusion(test.true[: effort.comments], answers.argmax(axis=1), len(settings.labels))
    low, high = bootstrap_intervals(counts, settings.evaluate.resamples, settings.seed)["macro_f1"]
    return {"value": float(summary(counts)["macro_f1"]), "low": low, "high": high}


def _answers(row: Row, answer: Answer, texts: Sequence[str], size: int) -> Probabilities:
    """The row's probabilities in the order of the texts, asked in batches of `size`."""
    order = sorted(range(len(texts)), key=lambda number: len(texts[number])) if row.sorts else list(range(len(texts)))
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    with ThreadPoolExecutor(row.at_once) as pool:
        found = np.concatenate(list(pool.map(lambda batch: answer([texts[number] for number in batch]), batches)))
    return np.asarray(found[np.argsort(order)])


def _add_speeds(facts: dict[str, Any], rounds: list[dict[int, dict[str, Any]]], settings: Settings) -> None:
    """Bring a row's figures into their final form."""
    parities = facts.pop("parities")
    facts["batches"] = {
        size: median([found[int(size)] for found in rounds])
        | {name: parity[name] for name in ("neighbour_label_changes", "neighbour_shift")}
        for size, parity in parities.items()
    }
    steady = [
        size
        for size, found in facts["batches"].items()
        if not found["neighbour_label_changes"] and found["neighbour_shift"] <= settings.export.max_shift
    ]
    facts["best"] = max(steady or facts["batches"], key=lambda size: facts["batches"][size]["comments_per_second"])
    facts["quality"] = parities[facts["best"]]


def _trade_off(root: Path, measured: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each family, and each way of the encoder that a bundle may serve: quality, speed and size."""
    rows = {family: family for family in LINEAR_FAMILIES}
    rows |= {FAMILY: "ONNX Runtime fp32", f"{FAMILY}, int8": INT8, CASCADE: CASCADE}
    parameters = {
        family: read_json(root / CANDIDATES / family / "metrics.json")["parameters"]
        for family in (*LINEAR_FAMILIES, FAMILY)
    }
    models = {}
    for name, row in rows.items():
        if facts := measured.get(row):
            best = facts["batches"][facts["best"]]
            models[name] = {
                "macro_f1": facts["macro_f1"],
                "ece": facts["ece"],
                "comments_per_second": best["comments_per_second"],
                "rounds": best["rounds"],
                "size": facts["size"],
                "parameters": parameters.get(name, parameters[FAMILY]),
            }
    return models


if __name__ == "__main__":
    run_command(main)

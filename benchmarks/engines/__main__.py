"""Compare the ways to run the trained encoder in one process, from the transformers pipeline to a cascade.

  python -m benchmarks.engines [--quick] [--root FOLDER]

FOLDER is a repository in which the pipeline has run, by default the current one. The encoder is measured even where a
linear model won. Every engine gets the test comments as texts; answers, speed and latency are measured at several batch
sizes, in rounds over all engines, because the speed of a machine drifts. Run it on an otherwise idle machine.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification

from benchmarks.engines.contenders import (
    CASCADE,
    FP32,
    INT8,
    PIPELINE,
    Contender,
    Subject,
    linear_contender,
    make_contenders,
)
from benchmarks.engines.matrix_peak import measure_peak
from benchmarks.engines.measure import Effort, measure
from benchmarks.engines.result import (
    PEAKS,
    CascadeChoice,
    Engine,
    EnginesResult,
    Model,
    Peaks,
    best_batch,
    engine_speed,
)
from benchmarks.engines.speed import SEED, WINDOW, timed_windows
from benchmarks.engines.subject import BUNDLE, CHECKPOINT, make_subject
from benchmarks.families import ENCODER, LINEAR
from benchmarks.result import Missing
from benchmarks.run_facts import run_facts
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import read_json, write_json
from commentwise.models.bundle import TOKENIZER
from commentwise.models.tokens import encode, load_tokenizer
from commentwise.training.candidate import GRAPH, Part, read_metrics, read_part
from commentwise.training.choice.export import CALIBRATION_COMMENTS
from commentwise.training.finetune.flops import training_flops
from commentwise.training.finetune.precision import use_all_cores
from commentwise.training.project import Project
from commentwise.training.settings import Settings, load_settings

RESULT = Path("benchmarks/results/engines.json")
FULL = Effort(3, 1.5, (1, 8, 32, 128), None)
QUICK = Effort(1, 0.3, (1, 32), 128)


def main() -> None:
    """Measure the engines, write the result and print one line per engine."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engines", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=Path(), metavar="FOLDER", help="where the pipeline ran (default: here)")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="one short round on few comments")
    parser.add_argument("--out", type=Path, default=RESULT, metavar="FILE", help="JSON to write (default: %(default)s)")
    options = parser.parse_args()
    result = run(Project(options.root), QUICK if options.quick else FULL)
    write_json(options.out, result)
    for name, engine in result["engines"].items():
        print(f"engines: {name}: {_summary(engine)}")


def _summary(engine: Engine | Missing) -> str:
    if "missing" in engine:
        return f"missing: {engine['missing']}"
    return (
        f"{engine_speed(engine):.0f} comments/s in batches of {engine['best']}, "
        f"{100 * engine['quality']['f1_loss']:.2f} points of macro-F1 lost"
    )


def run(project: Project, effort: Effort) -> EnginesResult:
    """Measure every engine with the encoder that the project trained.

    Raises CommentwiseError if the project's pipeline has not run, or has too few test comments.
    """
    make_subject(project)
    settings = load_settings(project.params)
    test = read_part(project.prepared, "test", settings.labels)
    if len(test.texts) < WINDOW:
        raise CommentwiseError(
            f"{project.prepared} has {len(test.texts)} test comments, at least {WINDOW} are needed: use more comments"
        )
    use_all_cores()
    peak = measure_peak(effort.rounds, effort.seconds / 3)
    with TemporaryDirectory(prefix="engines-") as scratch:
        subject = Subject(BUNDLE, CHECKPOINT, _calibration(project, settings), Path(scratch))
        contenders, missing = make_contenders(subject)
        print(f"engines: comparing the answers of {len(contenders)} engines", flush=True)
        measured = measure(contenders | _linear_contenders(project, subject), test, effort, settings)
        operations, lengths = _operations(subject, test)
    for name, contender in contenders.items():
        if contender.has_peak:
            measured[name]["share_of_peak"] = _share_of_peak(measured[name], operations, peak)
    if CASCADE in measured:
        measured[CASCADE]["cascade"] = _cascade_choice(subject, settings)
    return {
        **run_facts("benchmarks.engines"),
        "seed": SEED,
        "rounds": effort.rounds,
        "seconds": effort.seconds,
        "data": str(project.prepared),
        "model": {
            "family": ENCODER,
            "checkpoint": subject.manifest.checkpoint,
            "labels": settings.labels,
            "parameters": read_metrics(project.candidate(ENCODER))["parameters"],
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
        "engines": {name: measured[name] for name in contenders} | {name: Missing(missing=why) for name, why in missing.items()},
        "served": INT8,
        "pipeline": PIPELINE,
        "models": _models(project, measured),
    }  # fmt: skip


def _share_of_peak(engine: Engine, operations: float, peak: Peaks) -> float:
    return round(engine_speed(engine) * operations / 1e9 / peak[PEAKS[engine["precision"]]]["value"], 4)


def _cascade_choice(subject: Subject, settings: Settings) -> CascadeChoice:
    (choice,) = (entry["cascade"] for entry in subject.manifest.files.values() if "cascade" in entry)
    return {
        "linear": choice["family"],
        "threshold": round(choice["threshold"], 4),
        "share_answered_by_linear": round(choice["share"], 4),
        "limit": settings.export.max_f1_loss,
    }


def _linear_contenders(project: Project, subject: Subject) -> dict[str, Contender]:
    temperatures = {family: float(read_json(project.evaluated(family))["temperature"]) for family in LINEAR}
    return {
        family: linear_contender(project.candidate(family) / GRAPH, temperature, subject)
        for family, temperature in temperatures.items()
    }


def _calibration(project: Project, settings: Settings) -> list[list[int]]:
    tokenizer = load_tokenizer(BUNDLE / TOKENIZER, settings.max_tokens)
    return encode(tokenizer, read_part(project.prepared, "train", settings.labels).texts[:CALIBRATION_COMMENTS])


def _operations(subject: Subject, test: Part) -> tuple[float, NDArray[np.int64]]:
    """Operations of a forward pass per comment, a multiply-add counted as two, and the comments' lengths in tokens."""
    lengths = np.array([len(input_ids) for input_ids in encode(subject.tokenizer, test.texts)])
    model = AutoModelForSequenceClassification.from_pretrained(subject.checkpoint, dtype=torch.float32)
    # Training takes three times the operations of the forward pass: the backward pass costs twice as much.
    return training_flops(model, lengths) / 3 / len(lengths), lengths


def _models(project: Project, measured: dict[str, Engine]) -> dict[str, Model]:
    """Quality, speed and size of each family, and of each form of the encoder that a bundle may serve."""
    engines = {family: family for family in LINEAR}
    engines |= {ENCODER: FP32, f"{ENCODER}, int8": INT8, CASCADE: CASCADE}
    parameters: dict[str, int] = {
        family: read_metrics(project.candidate(family))["parameters"] for family in (*LINEAR, ENCODER)
    }
    models: dict[str, Model] = {}
    for name, engine_name in engines.items():
        if engine := measured.get(engine_name):
            models[name] = {
                "macro_f1": engine["macro_f1"],
                "ece": engine["ece"],
                "comments_per_second": engine_speed(engine),
                "rounds": best_batch(engine)["rounds"],
                "size": engine["size"],
                "parameters": parameters.get(name, parameters[ENCODER]),
            }
    return models


if __name__ == "__main__":
    run_command(main)

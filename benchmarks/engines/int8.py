"""Compare the ways to run the winning encoder in int8 on this CPU, and write docs/int8.md.

  python -m benchmarks.engines.int8 [--root FOLDER]

FOLDER is a repository in which the pipeline has run and an encoder won, such as build/results/youtube after
`python -m benchmarks.results`. Run it on an otherwise idle machine.
"""

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.engines import openvino_engine
from benchmarks.engines.int8_variants import REFERENCE, Variant, make_variants
from benchmarks.engines.measure import quality_of
from benchmarks.engines.result import STUDY_WAYS, Int8Result, Study, StudyVariant, StudyWay
from benchmarks.report.int8_page import render
from benchmarks.run_facts import run_facts
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import read_json, write_json, write_text
from commentwise.models.engine import Engine
from commentwise.models.probabilities import softmax
from commentwise.models.tokens import encode, load_tokenizer
from commentwise.training.candidate import ENCODER, read_part
from commentwise.training.choice import parity
from commentwise.training.choice.export import CALIBRATION_COMMENTS
from commentwise.training.choice.parity import BATCH_SIZE, Parity, comments_per_second, in_batches
from commentwise.training.project import Project
from commentwise.training.provenance import folder_md5
from commentwise.training.scores import Probabilities, Targets
from commentwise.training.settings import Settings, load_settings

OUT = Path("benchmarks/results/int8.json")
PAGE = Path("docs/int8.md")
ROUNDS = 3
"""Every variant is timed once per round, so that a slow minute of the machine does not affect only one of them."""


@dataclass(frozen=True)
class Comments:
    """The comments that every variant is measured on."""

    rows: list[list[int]]
    """The input_ids of the test comments."""
    targets: Targets
    calibration: list[list[int]]
    temperature: float


def main() -> None:
    """Measure the variants and write result and page."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engines.int8",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--root", type=Path, default=Path(), metavar="FOLDER", help="where the pipeline ran (default: here)")  # fmt: skip
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE", help="JSON to write (default: %(default)s)")
    parser.add_argument("--page", type=Path, default=PAGE, metavar="FILE", help="page to write (default: %(default)s)")
    parser.add_argument("--comments", type=int, metavar="N", help="measure on the first N test comments only")
    options = parser.parse_args()
    if options.comments is not None and options.comments < 1:
        raise CommentwiseError(f"--comments {options.comments} leaves nothing to measure: give 1 or more")
    result = run(Project(options.root), options.comments)
    write_json(options.out, result)
    write_text(options.page, render(result))
    print(f"int8: {len(result['variants'])} variants on {result['test_comments']} comments in {options.page}")


def run(project: Project, limit: int | None = None) -> Int8Result:
    """Build and measure every variant of the project's winning encoder, on its first `limit` test comments or all.

    Raises CommentwiseError if the project's pipeline has not run, or no encoder won.
    """
    settings = load_settings(project.params)
    encoder = project.winner / ENCODER
    if not encoder.is_dir():
        raise CommentwiseError(
            f"{encoder} is missing: run `commentwise run` there, or name a folder in which an encoder won"
        )
    comments = read_comments(project, settings, limit)
    with tempfile.TemporaryDirectory(prefix="int8-") as folder:
        variants = make_variants(encoder, Path(folder), comments.calibration, openvino_engine.installed())
        with Engine(Path(folder) / REFERENCE) as engine:
            reference = softmax(engine.logits(comments.rows), comments.temperature)
        print(f"int8: {len(variants)} variants built, comparing them on {len(comments.rows)} comments", flush=True)
        parities = [_parities(variant, comments, reference) for variant in variants]
        print(f"int8: compared with fp32, timing in {ROUNDS} rounds", flush=True)
        rounds = [[_speeds(variant, comments.rows) for variant in variants] for _ in range(ROUNDS)]
    measured: list[StudyVariant] = []
    for number, variant in enumerate(variants):
        alone, batches = (
            _study(parities[number][way], [speeds[number][way] for speeds in rounds], settings) for way in STUDY_WAYS
        )
        measured.append(
            {
                "runtime": variant.runtime,
                "name": variant.name,
                "precision": variant.precision,
                "what": variant.description,
                "size": variant.size,
                "alone": alone,
                "batches": batches,
            }
        )
    return _result(project, settings, comments, measured)


def read_comments(project: Project, settings: Settings, limit: int | None) -> Comments:
    """The test comments and the calibration comments of a project, as input_ids."""
    tokenizer = load_tokenizer(project.winner / "tokenizer.json", settings.max_tokens)
    test, train = (read_part(project.prepared, name, settings.labels) for name in ("test", "train"))
    return Comments(
        encode(tokenizer, test.texts[:limit]),
        test.targets[:limit],
        encode(tokenizer, train.texts[:CALIBRATION_COMMENTS]),
        read_json(project.winner / "evaluation.json")["temperature"],
    )


def _parities(variant: Variant, comments: Comments, reference: Probabilities) -> dict[StudyWay, Parity]:
    """Compare a variant with fp32, served one by one and in batches.

    The effect of neighbours is measured in batches by comparing with the answers one by one.
    """
    rows, targets, temperature = comments.rows, comments.targets, comments.temperature
    with variant.open() as engine:
        alone = softmax(engine.logits(rows), temperature)
        together = softmax(in_batches(engine, rows, variant.concurrent_batches), temperature)
        one_by_one = parity.measure(engine, rows, reference, targets, temperature, batched=False)
    batched = parity.compare(together, alone, np.arange(len(rows)), reference, targets)
    return {"alone": one_by_one, "batches": batched}


def _speeds(variant: Variant, rows: Sequence[Sequence[int]]) -> dict[StudyWay, float]:
    with variant.open() as engine:
        return {
            "alone": comments_per_second(engine.logits, rows),
            "batches": comments_per_second(partial(in_batches, engine, at_once=variant.concurrent_batches), rows),
        }


def _study(measured: Parity, speeds: list[float], settings: Settings) -> Study:
    return {
        **quality_of(measured),
        "refused_because": measured.failures(settings.export),
        "comments_per_second": statistics.median(speeds),
        "comments_per_second_rounds": speeds,
    }


def _result(project: Project, settings: Settings, comments: Comments, variants: list[StudyVariant]) -> Int8Result:
    head = run_facts("benchmarks.engines.int8")
    with_openvino = openvino_engine.installed()
    if with_openvino:
        head["environment"]["packages"] |= {package: version(package) for package in openvino_engine.PACKAGES}
    limits = settings.export
    return {
        **head,
        "checkpoint": settings.checkpoint,
        "prepared_md5": folder_md5(project.prepared),
        "test_comments": len(comments.rows),
        "calibration_comments": len(comments.calibration),
        "batch_size": BATCH_SIZE,
        "neighbour_comments": min(parity.SAMPLE, len(comments.rows)),
        "seed": parity.SEED,
        "rounds": ROUNDS,
        "repeats": parity.REPEATS,
        "timed_comments": min(parity.TIMED_ROWS, len(comments.rows)),
        "limits": {
            "max_f1_loss": limits.max_f1_loss,
            "min_agreement": limits.min_agreement,
            "max_shift": limits.max_shift,
        },
        "missing": {} if with_openvino else {"OpenVINO": openvino_engine.INSTALL},
        "variants": variants,
    }


if __name__ == "__main__":
    run_command(main)

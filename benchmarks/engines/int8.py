"""Compare the ways to run the winning encoder in int8 on this CPU, and write what came out to docs/int8.md.

  python -m benchmarks.engines.int8 [--root FOLDER]

FOLDER is a repository in which the pipeline has run and an encoder won, such as build/results/youtube after
`python -m benchmarks.results`. Run it on a quiet machine.
"""

import argparse
import shlex
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engines import openvino_engine
from benchmarks.engines.int8_page import render
from benchmarks.engines.int8_variants import REFERENCE, Variant, make_variants
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import read_json, write_json, write_text
from commentwise.models.cores import available_cores
from commentwise.models.engine import Engine
from commentwise.models.probabilities import softmax
from commentwise.models.tokens import encode, load_tokenizer
from commentwise.training.candidate import ENCODER, read_part
from commentwise.training.choice import parity
from commentwise.training.choice.export import CALIBRATION_COMMENTS
from commentwise.training.choice.parity import BATCH_SIZE, Parity, comments_per_second, in_batches
from commentwise.training.project import PREPARED, WINNER
from commentwise.training.provenance import environment_facts, folder_md5, git_facts
from commentwise.training.resources import processor_name
from commentwise.training.scores import Labels, Probabilities
from commentwise.training.settings import Settings, load_settings

OUT = Path("benchmarks/results/int8.json")
PAGE = Path("docs/int8.md")
ROUNDS = 3
"""Every variant is timed once per round, so that a slow minute of the machine does not fall on one of them alone."""


@dataclass(frozen=True)
class Comments:
    """What every variant is measured on."""

    rows: list[list[int]]
    true: Labels
    calibration: list[list[int]]
    temperature: float


def main() -> None:
    """Measure what the command line names and write figures and page."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engines.int8",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--root", type=Path, default=Path(), metavar="FOLDER", help="where the pipeline ran (default: here)")  # fmt: skip
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE", help=f"the figures as JSON (default: {OUT})")
    parser.add_argument("--page", type=Path, default=PAGE, metavar="FILE", help=f"the page (default: {PAGE})")
    parser.add_argument("--comments", type=int, metavar="N", help="measure on the first N test comments only")
    options = parser.parse_args()
    if options.comments is not None and options.comments < 1:
        raise CommentwiseError(f"--comments {options.comments} leaves nothing to measure: name 1 or more")
    result = run(options.root, options.comments)
    result["command"] = shlex.join(["python", "-m", "benchmarks.engines.int8", *sys.argv[1:]])
    write_json(options.out, result)
    write_text(options.page, render(result))
    print(f"int8: {len(result['variants'])} variants on {result['test_comments']} comments in {options.page}")


def run(root: Path, limit: int | None = None) -> dict[str, Any]:
    """Make and measure every variant of the encoder that won in `root`, on its first `limit` test comments or all.

    Raises CommentwiseError when the pipeline has not run there, or when no encoder won.
    """
    settings = load_settings(root / "params.yaml")
    encoder = root / WINNER / ENCODER
    if not encoder.is_dir():
        raise CommentwiseError(f"{encoder} is missing: run `dvc repro` there, or name a folder in which an encoder won")
    comments = read_comments(root, settings, limit)
    with tempfile.TemporaryDirectory(prefix="int8-") as folder:
        variants = make_variants(encoder, Path(folder), comments.calibration, openvino_engine.installed())
        with Engine(Path(folder) / REFERENCE) as engine:
            reference = softmax(engine.logits(comments.rows), comments.temperature)
        print(f"int8: {len(variants)} variants made, measuring them on {len(comments.rows)} comments", flush=True)
        measured = [_quality(variant, comments, reference, settings) for variant in variants]
        print(f"int8: compared with fp32, timing in {ROUNDS} rounds", flush=True)
        rounds = [[_speeds(variant, comments.rows) for variant in variants] for _ in range(ROUNDS)]
    for number, facts in enumerate(measured):
        for way in ("alone", "batches"):
            _add_speed(facts[way], [speeds[number][way] for speeds in rounds])
    return _facts(root, settings, comments) | {"variants": measured}


def read_comments(root: Path, settings: Settings, limit: int | None) -> Comments:
    """The test part and the calibration comments of the pipeline in `root`, as token ids."""
    tokenizer = load_tokenizer(root / WINNER / "tokenizer.json", settings.max_tokens)
    test, train = (read_part(part, settings.labels, root / PREPARED) for part in ("test", "train"))
    return Comments(
        encode(tokenizer, test.texts[:limit]),
        test.true[:limit],
        encode(tokenizer, train.texts[:CALIBRATION_COMMENTS]),
        read_json(root / WINNER / "evaluation.json")["temperature"],
    )


def _quality(variant: Variant, comments: Comments, reference: Probabilities, settings: Settings) -> dict[str, Any]:
    """Parity with fp32 when served one by one, and in batches, whose answers are held against those one by one."""
    rows, true, temperature = comments.rows, comments.true, comments.temperature
    with variant.open() as engine:
        alone = softmax(engine.logits(rows), temperature)
        together = softmax(in_batches(engine, rows, variant.batches_at_once), temperature)
        one_by_one = parity.measure(engine, rows, reference, true, temperature, batched=False)
    batched = parity.compare(together, alone, np.arange(len(rows)), reference, true)
    return {
        "runtime": variant.runtime,
        "name": variant.name,
        "precision": variant.precision,
        "what": variant.what,
        "size": variant.size,
        "alone": _with_refusal(one_by_one, settings),
        "batches": _with_refusal(batched, settings),
    }


def _with_refusal(measured: Parity, settings: Settings) -> dict[str, Any]:
    return {**measured.as_dict(), "refused_because": measured.failures(settings.export)}


def _speeds(variant: Variant, rows: Sequence[Sequence[int]]) -> dict[str, float]:
    with variant.open() as engine:
        return {
            "alone": comments_per_second(engine.logits, rows),
            "batches": comments_per_second(partial(in_batches, engine, at_once=variant.batches_at_once), rows),
        }


def _add_speed(facts: dict[str, Any], rounds: list[float]) -> None:
    facts["comments_per_second"] = statistics.median(rounds)
    facts["comments_per_second_rounds"] = rounds


def _facts(root: Path, settings: Settings, comments: Comments) -> dict[str, Any]:
    environment = environment_facts()
    with_openvino = openvino_engine.installed()
    if with_openvino:
        environment["packages"] |= {package: version(package) for package in openvino_engine.PACKAGES}
    return {
        "machine": {"processor": processor_name(), "cores": available_cores()},
        "environment": environment,
        "git": git_facts(),
        "checkpoint": settings.families.bert.checkpoint,
        "prepared_md5": folder_md5(root / PREPARED),
        "test_comments": len(comments.rows),
        "calibration_comments": len(comments.calibration),
        "batch_size": BATCH_SIZE,
        "neighbour_comments": min(parity.SAMPLE, len(comments.rows)),
        "seed": parity.SEED,
        "rounds": ROUNDS,
        "repeats": parity.REPEATS,
        "timed_comments": min(parity.TIMED_ROWS, len(comments.rows)),
        "limits": settings.export.model_dump(),
        "missing": {} if with_openvino else {"OpenVINO": openvino_engine.INSTALL},
    }


if __name__ == "__main__":
    run_command(main)

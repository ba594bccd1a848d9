"""The work that benchmarks.scale measures, each piece in a separate process.

python -m benchmarks.scale.work FAMILY FOLDER       # trains a linear family in a project's folder
"""

import argparse
import itertools
import json
import random
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmarks import processes
from benchmarks.families import LINEAR
from benchmarks.result import read_result
from benchmarks.samples import SEED, different, read_columns
from benchmarks.scale.result import Scored, Trained
from benchmarks.training.result import Run
from commentwise.comments.normalize import normalize
from commentwise.errors import run_command
from commentwise.fileio import atomic_folder, read_json, write_json
from commentwise.models.bundle import GOLDEN, TOKENIZER, write_manifest
from commentwise.models.engine import Engine
from commentwise.models.probabilities import softmax
from commentwise.models.tokens import encode, load_tokenizer
from commentwise.training.candidate import GRAPH, read_metrics, write_resources
from commentwise.training.families import catalog
from commentwise.training.project import HELD_OUT, Project
from commentwise.training.provenance import environment_facts, git_facts
from commentwise.training.resources import Stopwatch
from commentwise.training.settings import Settings, load_settings
from commentwise.training.train import read_task

HELD_OUT_COMMENTS = 100
"""Comments of the validation and of the test part; predicting them is part of the training time."""
BUNDLE_GRAPH = "fp32.onnx"


@dataclass(frozen=True)
class Examples:
    """Distinct labelled comments in a seeded random order."""

    table: pd.DataFrame

    @classmethod
    def read(cls, path: Path, text: str, label: str, labels: Sequence[str]) -> "Examples":
        """Read the comments of a file that have one of `labels`; `text` and `label` are its columns.

        Raises CommentwiseError if the file cannot be read or lacks one of the columns.
        """
        rows = {normalize(row[text]): row[label] for row in read_columns(path, text, label) if row[label] in labels}
        drawn = random.Random(SEED).sample(sorted(rows.items()), len(rows))
        table = pd.DataFrame(drawn, columns=["text", "label"])
        return cls(table.assign(comment_id=table.index.astype(str), group=table.index))

    @property
    def max_train(self) -> int:
        """Size of the largest training part that they allow."""
        return len(self.table) - len(HELD_OUT) * HELD_OUT_COMMENTS

    def write(self, count: int, project: Project) -> None:
        """Write `count` of them as the training part of a project, with the current project's settings."""
        project.prepared.mkdir(parents=True, exist_ok=True)
        ends = [0, *itertools.accumulate([HELD_OUT_COMMENTS] * len(HELD_OUT) + [count])]
        for part, (start, end) in zip((*HELD_OUT, "train"), itertools.pairwise(ends), strict=True):
            self.table.iloc[start:end].to_parquet(project.part(part), index=False)
        shutil.copyfile(Project().params, project.params)


def train_linear(family: str, examples: Examples, count: int, folder: Path) -> Trained:
    """Train a linear family on `count` examples, as a project in `folder`."""
    project = Project(folder)
    examples.write(count, project)
    command = [sys.executable, "-m", "benchmarks.scale.work", family, str(folder)]
    processes.run(command, folder / "output.txt")
    seconds = read_json(project.resources(family))["seconds"]
    return {"family": family, "comments": count, "seconds": seconds}


def train_bert(count: int, folder: Path) -> Trained:
    """Fine-tune a model of MiniLM's size on `count` random comments for one epoch."""
    out = folder / "training.json"
    command = [sys.executable, "-m", "benchmarks.training", "--contender", "commentwise"]
    processes.run([*command, "--comments", str(count), "--out", str(out)], folder / "output.txt")
    speed = read_result(Run, out)["comments_per_second"]
    return {"family": "bert", "comments": count, "seconds": round(count / speed, 2)}


def score(bundle: Path, family: str, texts: Sequence[str], count: int, folder: Path) -> Scored:
    """Score a file of `count` comments; time and peak memory are those of the whole command."""
    source = folder / "comments.jsonl"
    with source.open("w", encoding="utf-8") as stream:
        for text in itertools.islice(different(texts), count):
            stream.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    program = [sys.executable, "-m", "commentwise.serving.batch.score"]
    flags = ["-o", str(folder / "scored.jsonl"), "--overwrite", "--model", str(bundle), "--device", "cpu"]
    start = time.perf_counter()
    peak = processes.run([*program, str(source), *flags], folder / "output.txt")
    seconds = time.perf_counter() - start
    return {
        "model": family,
        "comments": count,
        "seconds": round(seconds, 2),
        "peak_memory_mb": round(peak),
        "comments_per_second": round(count / seconds, 1),
    }


def linear_bundle(candidate: Path, settings: Settings, folder: Path) -> Path:
    """Write a candidate's graph as an uncalibrated bundle, which is enough to be timed; return `folder`."""
    with atomic_folder(folder) as temporary:
        shutil.copyfile(candidate / TOKENIZER, temporary / TOKENIZER)
        shutil.copyfile(candidate / GRAPH, temporary / BUNDLE_GRAPH)
        texts = ["great video, thank you", "what a waste of time"]
        with Engine(temporary / BUNDLE_GRAPH) as engine:
            logits = engine.logits(encode(load_tokenizer(temporary / TOKENIZER, settings.max_tokens), texts))
        write_json(temporary / GOLDEN, {"texts": texts, "probabilities": {BUNDLE_GRAPH: softmax(logits).tolist()}})
        fields = {
            "family": read_metrics(candidate)["family"],
            "checkpoint": settings.checkpoint,
            "labels": settings.labels,
            "max_tokens": settings.max_tokens,
            "temperature": 1.0,
            "devices": {"cpu": BUNDLE_GRAPH},
            "metrics": {},
            "data": {},
            "params": {},
            "git": git_facts(Path()),
            "environment": environment_facts(),
        }
        write_manifest(temporary, fields, {BUNDLE_GRAPH: {"precision": "fp32", "parity": {}}})
    return folder


def main() -> None:
    """Train a family in a project's folder and record the time."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.work", description=__doc__)
    parser.add_argument("family", choices=LINEAR)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    project = Project(options.folder)
    settings, family = load_settings(project.params), catalog.families()[options.family]
    stopwatch, out = Stopwatch(), project.candidate(family.name)
    family.train(read_task(project, settings), settings.of(family), out)
    write_resources(project.resources(family.name), out, stopwatch.resources("cpu"))


if __name__ == "__main__":
    run_command(main)

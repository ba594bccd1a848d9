"""The work that benchmarks.scale measures, each piece as a process of its own.

python -m benchmarks.scale.tasks FAMILY FOLDER       # trains a linear family on the parts that lie in FOLDER
"""

import argparse
import itertools
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import processes
from benchmarks.samples import SEED, different, read_columns
from commentwise.comments.normalize import normalize
from commentwise.errors import run_command
from commentwise.fileio import atomic_folder, read_json, write_json
from commentwise.models.bundle import GOLDEN, TOKENIZER, write_manifest
from commentwise.models.engine import Engine
from commentwise.models.probabilities import softmax
from commentwise.models.tokens import encode, load_tokenizer
from commentwise.training.candidate import GRAPH, HELD_OUT
from commentwise.training.project import part_file
from commentwise.training.provenance import environment_facts, git_facts
from commentwise.training.settings import PARAMS, load_settings

LINEAR = ("logreg", "svm")
HELD_OUT_COMMENTS = 100
"""In validation and test part each: trained models answer them, which is a part of training's time."""
BUNDLE_GRAPH = "fp32.onnx"


@dataclass(frozen=True)
class Examples:
    """Labelled comments, no two alike, in an order drawn with a seed."""

    table: pd.DataFrame

    @classmethod
    def read(cls, path: Path, text: str, label: str) -> "Examples":
        """The comments of a file that have one of the project's labels.

        Raises CommentwiseError when it cannot be read or lacks one of the columns.
        """
        labels = set(load_settings().labels)
        rows = {normalize(row[text]): row[label] for row in read_columns(path, text, label) if row[label] in labels}
        drawn = random.Random(SEED).sample(sorted(rows.items()), len(rows))
        table = pd.DataFrame(drawn, columns=["text", "label"])
        return cls(table.assign(comment_id=table.index.astype(str), group=table.index))

    @property
    def most(self) -> int:
        """The largest training part that they are enough for."""
        return len(self.table) - len(HELD_OUT) * HELD_OUT_COMMENTS

    def write(self, count: int, folder: Path) -> None:
        """Write `count` of them as the training part into `folder`, laid out as the pipeline has it."""
        ends = [0, *itertools.accumulate([HELD_OUT_COMMENTS] * len(HELD_OUT) + [count])]
        for part, (start, end) in zip((*HELD_OUT, "train"), itertools.pairwise(ends), strict=True):
            path = folder / part_file(part)
            path.parent.mkdir(parents=True, exist_ok=True)
            self.table.iloc[start:end].to_parquet(path, index=False)
        shutil.copyfile(PARAMS, folder / PARAMS)


def train_linear(family: str, examples: Examples, count: int, folder: Path) -> dict[str, Any]:
    """Train a linear family on so many examples; its candidate lies in `folder` then. Return the seconds it took."""
    examples.write(count, folder)
    command = [sys.executable, "-m", "benchmarks.scale.tasks", family, str(folder)]
    processes.run(command, folder / "output.txt")
    return {"seconds": read_json(folder / family / "resources.json")["seconds"]}


def train_bert(count: int, folder: Path) -> dict[str, Any]:
    """Fine-tune a model of MiniLM's size on so many made-up comments, once each. Return the seconds it took."""
    out = folder / "training.json"
    command = [sys.executable, "-m", "benchmarks.training", "--contender", "commentwise"]
    processes.run([*command, "--comments", str(count), "--out", str(out)], folder / "output.txt")
    return {"seconds": round(count / read_json(out)["comments_per_second"], 2)}


def score(bundle: Path, texts: Sequence[str], count: int, folder: Path) -> dict[str, Any]:
    """Score a file of so many comments with `python -m commentwise.serving.batch.score`: seconds and MB of the whole command."""
    source = folder / "comments.jsonl"
    with source.open("w", encoding="utf-8") as stream:
        for text in itertools.islice(different(texts), count):
            stream.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    command = [
        sys.executable,
        "-m",
        "commentwise.serving.batch.score",
        str(source),
        "-o",
        str(folder / "scored.jsonl"),
        "--overwrite",
    ]
    start = time.perf_counter()
    peak = processes.run([*command, "--model", str(bundle), "--device", "cpu"], folder / "output.txt")
    seconds = time.perf_counter() - start
    return {
        "seconds": round(seconds, 2),
        "peak_memory_mb": round(peak),
        "comments_per_second": round(count / seconds, 1),
    }


def linear_bundle(family: str, candidate: Path, folder: Path) -> Path:
    """Write a candidate's graph as a bundle that is as good as any to be timed, though uncalibrated; return `folder`."""
    settings = load_settings()
    with atomic_folder(folder) as made:
        shutil.copyfile(candidate / TOKENIZER, made / TOKENIZER)
        shutil.copyfile(candidate / GRAPH, made / BUNDLE_GRAPH)
        texts = ["great video, thank you", "what a waste of time"]
        with Engine(made / BUNDLE_GRAPH) as engine:
            logits = engine.logits(encode(load_tokenizer(made / TOKENIZER, settings.max_tokens), texts))
        write_json(made / GOLDEN, {"texts": texts, "probabilities": {BUNDLE_GRAPH: softmax(logits).tolist()}})
        fields = {
            "family": family,
            "checkpoint": settings.families.bert.checkpoint,
            "labels": settings.labels,
            "max_tokens": settings.max_tokens,
            "temperature": 1.0,
            "devices": {"cpu": BUNDLE_GRAPH},
            "metrics": {},
            "data": {},
            "params": {},
            "git": git_facts(),
            "environment": environment_facts(),
        }
        write_manifest(made, fields, {BUNDLE_GRAPH: {"precision": "fp32", "parity": {}}})
    return folder


def main() -> None:
    """Train the family on the command line in the folder there."""
    from commentwise.training.families.linear import train

    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.tasks", description=__doc__)
    parser.add_argument("family", choices=LINEAR)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    os.chdir(options.folder)
    train(options.family, load_settings(), Path(options.family))


if __name__ == "__main__":
    run_command(main)

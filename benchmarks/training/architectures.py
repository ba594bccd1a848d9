"""Train, export and serve a tiny encoder of many architectures, and write the table in docs/training.md.

  python -m benchmarks.training.architectures                     # all of them: a few minutes
  python -m benchmarks.training.architectures --only bert,xlnet   # prints these rows, and writes nothing

Every encoder has random weights, two layers and the proportions of its architecture's defaults. It goes through the code
of the pipeline: fine-tuning, evaluation, all variants of the export, and the bundle that the server loads. The comments
are artificial, so scores only tell that the model learns. An architecture that fails is a row with the reason.
"""

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.document import replace_section
from benchmarks.run_facts import run_facts
from benchmarks.training.result import ArchitecturesResult, Refused, Served
from benchmarks.training.tiny_project import write_checkpoint, write_project, write_settings
from commentwise.errors import CommentwiseError, disk_is_full, first_line, run_command
from commentwise.fileio import atomic_folder, write_json
from commentwise.models.bundle import TOKENIZER, Classifier
from commentwise.models.encoders.loading import load_encoder
from commentwise.models.encoders.packed import is_packable
from commentwise.models.engine import Engine
from commentwise.models.tokens import encode, load_tokenizer
from commentwise.training.candidate import ENCODER, read_metrics, read_part
from commentwise.training.choice.evaluate import evaluate
from commentwise.training.choice.export import export
from commentwise.training.families.bert import BERT
from commentwise.training.families.family import REFERENCE_GRAPH
from commentwise.training.finetune.export_check import NotServableError, check_export
from commentwise.training.finetune.torch_engine import TorchEngine
from commentwise.training.project import Project
from commentwise.training.resources import Stopwatch
from commentwise.training.settings import Settings
from commentwise.training.train import read_task

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks/results/architectures.json"
DOCUMENT = ROOT / "docs/training.md"
PROGRAM = "benchmarks.training.architectures"
START, END = f"<!-- architectures: written by `python -m {PROGRAM}` -->", "<!-- /architectures -->"
ARCHITECTURES = (
    "albert",
    "bert",
    "big_bird",
    "camembert",
    "convbert",
    "data2vec-text",
    "deberta",
    "deberta-v2",
    "distilbert",
    "electra",
    "ernie",
    "flaubert",
    "funnel",
    "ibert",
    "longformer",
    "luke",
    "megatron-bert",
    "mobilebert",
    "modernbert",
    "mpnet",
    "mra",
    "nystromformer",
    "rembert",
    "roberta",
    "roberta-prelayernorm",
    "roc_bert",
    "roformer",
    "squeezebert",
    "xlm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xlnet",
    "yoso",
)
"""Encoders of transformers that classify text, by `model_type`."""


def main() -> None:
    """Run the architectures, print the table, and write it and the result if all were run."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {PROGRAM}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="NAMES", help="architectures of transformers to run, separated by commas")
    options = parser.parse_args()
    rows = run(options.only.split(",") if options.only else ARCHITECTURES)
    print("\n".join(table(rows)))
    if not options.only:
        result: ArchitecturesResult = {**run_facts(PROGRAM), "architectures": rows}
        write_json(RESULT, result)
        replace_section(DOCUMENT, START, END, table(rows))


def run(names: Sequence[str]) -> list[Served | Refused]:
    """Take each architecture from a checkpoint to a served bundle, in one temporary project."""
    rows: list[Served | Refused] = []
    with tempfile.TemporaryDirectory(prefix="architectures-") as folder:
        project = write_project(Path(folder))
        for number, name in enumerate(names, 1):
            stopwatch = Stopwatch()
            row = measure(name, project)
            rows.append(row)
            outcome = f"failed: {row['stage']}: {row['reason']}" if "reason" in row else "served"
            print(f"{number}/{len(names)} {name}: {outcome}, {stopwatch.seconds:.0f} s", flush=True)
    return rows


def measure(name: str, project: Project) -> Served | Refused:
    """Take one architecture from a checkpoint to a served bundle; the project's earlier encoder is replaced."""
    stage, packed, root = "load", False, project.root / "encoder"
    for left in (root, project.candidate(BERT.name), project.winner, project.bundle):
        shutil.rmtree(left, ignore_errors=True)
    try:
        settings = write_settings(project, write_checkpoint(name, root))
        model = load_encoder(root, settings.labels)
        packed = is_packable(model)
        stage = "check"
        test = read_part(project.prepared, "test", settings.labels)
        rows = encode(load_tokenizer(root / TOKENIZER, settings.max_tokens), test.texts)
        by_length = sorted(rows, key=len)
        stopwatch = Stopwatch()
        if unchecked := check_export(model, name, [by_length[-1], by_length[0]]):
            raise CommentwiseError(unchecked)
        seconds = stopwatch.seconds
        stage = "train"
        BERT.train(read_task(project, settings), settings.of(BERT), project.candidate(BERT.name))
        evaluate(project, BERT.name, settings)
        stage = "export"
        report = _export(project, settings)
        stage = "serve"
        classifier = Classifier(project.bundle)
        expected = TorchEngine(project.winner / ENCODER).logits(rows)
        with Engine(project.bundle / REFERENCE_GRAPH) as engine:
            difference = np.abs(engine.logits(rows) - expected).max()
        served = classifier.probabilities(test.texts).argmax(axis=1)
    except Exception as error:  # each architecture fails in its own way
        if disk_is_full(error):
            raise
        reason = error.reason if isinstance(error, NotServableError) else first_line(error)
        return {"name": name, "packed": packed, "stage": stage, "reason": reason}
    return {
        "name": name,
        "packed": packed,
        "check_seconds": round(seconds, 2),
        "test_macro_f1": read_metrics(project.winner)["test_macro_f1"],
        "variants": {entry["file"]: entry["agreement"] for entry in report["variants"]},
        "dropped": report["dropped"],
        "logit_difference": float(difference),
        "graph": classifier.graph,
        "served_agreement": float((served == expected.argmax(axis=1)).mean()),
    }


def _export(project: Project, settings: Settings) -> dict[str, Any]:
    """Make the encoder the winner, write its bundle, and return the export report."""
    shutil.copytree(project.candidate(BERT.name), project.winner)
    shutil.copyfile(project.evaluated(BERT.name), project.winner / "evaluation.json")
    with atomic_folder(project.bundle) as folder:
        return export(project, settings, project.winner, folder)


def table(rows: Sequence[Served | Refused]) -> list[str]:
    """The rows as Markdown: what was served, then what failed."""
    lines = [
        "| architecture | batches | check, s | test macro-F1 | graphs | fp32 logits | served labels |",
        "|---|---|--:|--:|---|--:|--:|",
    ]
    for row in rows:
        if "reason" not in row:
            graphs = f"all {len(row['variants'])}"
            if row["dropped"]:
                reasons = "; ".join(f"no {file} ({reason})" for file, reason in row["dropped"].items())
                graphs = f"{len(row['variants'])}: {_cell(reasons)}"
            lines.append(
                f"| {row['name']} | {_batches(row)} | {row['check_seconds']:.1f} | {row['test_macro_f1']:.2f} | {graphs} "
                f"| {row['logit_difference']:.0e} | {row['served_agreement']:.0%} |"
            )
    failed = [row for row in rows if "reason" in row]
    if failed:
        lines += ["", "| architecture | batches | fails in | reason |", "|---|---|---|---|"]
        lines += [f"| {row['name']} | {_batches(row)} | {row['stage']} | {_cell(row['reason'])} |" for row in failed]
    return lines


def _batches(row: Served | Refused) -> str:
    return "packed" if row["packed"] else "padded"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    run_command(main)

"""Stage export: turn the winner into the bundle that is served.

Every variant of the graph is measured on the test part. A smaller precision replaces fp32 only within the limits of the
section export in params.yaml; each device gets the fastest variant within them. The bundle of an encoder also gets a
cascade if one is within the limits. It is faster, but served only on request, because the labels of some comments come
from its first stage.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from tokenizers import Tokenizer

from commentwise.errors import CommentwiseError, disk_is_full, first_line, run_command
from commentwise.fileio import atomic_folder, read_json, write_json
from commentwise.models.bundle import GOLDEN, TOKENIZER, Classifier, data_file, write_manifest
from commentwise.models.cores import available_cores
from commentwise.models.engine import Engine
from commentwise.models.graphs.cascade import cascade_graph
from commentwise.models.graphs.storage import save_graph
from commentwise.models.probabilities import softmax
from commentwise.models.tokens import encode, load_tokenizer, without_padding
from commentwise.training.candidate import GRAPH, Part, read_part, read_predictions
from commentwise.training.choice import parity
from commentwise.training.choice.first_stage import Cascade, choose_cascade
from commentwise.training.choice.parity import Parity, comments_per_second
from commentwise.training.data.sources import source_name
from commentwise.training.families import catalog
from commentwise.training.families.family import REFERENCE_GRAPH, Family
from commentwise.training.params import read_params
from commentwise.training.project import Project
from commentwise.training.provenance import data_facts, environment_facts, git_facts
from commentwise.training.resources import processor_name
from commentwise.training.scores import Probabilities
from commentwise.training.settings import ExportSettings, Settings, load_settings

CASCADE_GRAPH = "cascade.onnx"
EXPORT_TOLERANCE = 0.005
"""Largest allowed difference between a probability of the fp32 graph and of training, for rounding."""

CALIBRATION_COMMENTS = 256
"""Training comments on which the range of activations is measured."""

GOLDEN_TEXTS = [
    "This is the best explanation I have seen, thank you!",
    "Worst update ever. I want my money back.",
    "What time does the stream start?",
    "not bad at all, tbh 😂",
    "@user see http &amp; tell me",
    "¿Alguien sabe el nombre de la canción?",
    "🔥🔥🔥",
    "I waited three weeks for this, the first one arrived broken, the second one was the wrong colour, and support keeps "
    "sending me the same form to fill in again and again, so no, I would not recommend it to anybody.",
]


@dataclass(frozen=True)
class Variant:
    """One graph that could be served, and its measurements."""

    file: str
    precision: str
    parity: Parity
    """fp16 is measured in batches, as a GPU serves it; the others one comment at a time."""
    batch_effect: dict[str, float]
    comments_per_second: float | None
    """On the CPU of this machine; None for fp16, which only GPUs serve."""
    size: int
    cascade: Cascade | None = None
    """The choice made on the validation part, if the graph is a cascade."""

    def failures(self, limits: ExportSettings) -> list[str]:
        """One message for each limit that is exceeded."""
        return self.parity.failures(_for_cascades(limits) if self.cascade else limits)

    def graph_facts(self) -> dict[str, Any]:
        """The graph's entry in the manifest."""
        facts = {"precision": self.precision, "parity": self.parity.as_dict()}
        return facts | ({"cascade": asdict(self.cascade)} if self.cascade else {})

    def report(self, limits: ExportSettings) -> dict[str, Any]:
        """The variant's entry in the export report."""
        return {
            "file": self.file,
            "precision": self.precision,
            "size": self.size,
            "comments_per_second": self.comments_per_second,
            **self.parity.as_dict(),
            "refused_because": self.failures(limits),
            "in_batches": self.batch_effect,
            **({"cascade": asdict(self.cascade)} if self.cascade else {}),
        }


def main() -> None:
    """Export the project's winner."""
    project = Project()
    settings = load_settings(project.params)
    with atomic_folder(project.bundle) as folder:
        report = export(project, settings, project.winner, folder)
        Classifier(folder)  # verifies the bundle, as the server does
    write_json(project.export_report, report)
    served = next(variant for variant in report["variants"] if variant["file"] == report["devices"]["cpu"])
    dropped = "".join(f"; {file} dropped: {reason}" for file, reason in report["dropped"].items())
    refusal = f"; int8 refused: {'; '.join(report['int8_refused_because'])}" if report["int8_refused_because"] else ""
    print(
        f"export: {report['family']} as {served['file']} on the CPU, {served['size'] / 1e6:.1f} MB, {served['comments_per_second']:.0f} comments/s, "
        f"{served['agreement']:.2%} of fp32's labels{refusal}{dropped}"
    )


def export(project: Project, settings: Settings, candidate: Path, folder: Path) -> dict[str, Any]:
    """Write the bundle of `candidate` into `folder` and return the export report.

    `candidate` is a candidate's folder with its evaluation.json, as select copies it. Raises CommentwiseError when the
    fp32 graph does not reproduce the probabilities measured in training.
    """
    facts, evaluation = read_json(candidate / "metrics.json"), read_json(candidate / "evaluation.json")
    family = catalog.families()[facts["family"]]
    test = read_part(project.prepared, "test", settings.labels)
    tokenizer_text = without_padding((candidate / "tokenizer.json").read_text(encoding="utf-8"))
    (folder / TOKENIZER).write_text(tokenizer_text, encoding="utf-8")
    tokenizer = load_tokenizer(folder / TOKENIZER, settings.max_tokens)
    rows = encode(tokenizer, test.texts)
    graphs = family.write_graphs(candidate, folder, _calibration(project, tokenizer, settings))
    reference = _reference(candidate, folder, rows, settings, evaluation["temperature"])
    measure = partial(_measure, rows=rows, reference=reference, test=test, temperature=evaluation["temperature"])
    variants = [measure(folder / REFERENCE_GRAPH, graphs.precisions[REFERENCE_GRAPH])]
    dropped = dict(graphs.failures)
    for file, precision in graphs.precisions.items():
        if file != REFERENCE_GRAPH:
            with _dropping(file, dropped):
                variants.append(measure(folder / file, precision))
    devices = choose_graphs(variants, settings.export)
    kept_files = {REFERENCE_GRAPH, *devices.values()}
    cascade = None if family.answers_first else _choose_cascade(project, candidate, settings)
    if cascade:
        encoder = choose_graphs(variants, _for_cascades(settings.export))["cpu"]
        with _dropping(CASCADE_GRAPH, dropped):
            _write_cascade(project, folder, encoder, cascade, evaluation["temperature"])
            variants.append(replace(measure(folder / CASCADE_GRAPH, graphs.precisions[encoder]), cascade=cascade))
        kept_files |= {
            variant.file for variant in variants if variant.cascade and not variant.failures(settings.export)
        }
    kept = [variant for variant in variants if variant.file in kept_files]
    _clear(folder, kept_files | {TOKENIZER})
    _write_golden(folder, kept, settings, evaluation["temperature"])
    fields = {
        "family": family.name,
        "checkpoint": settings.checkpoint,
        "labels": settings.labels,
        "max_tokens": settings.max_tokens,
        "temperature": evaluation["temperature"],
        "devices": devices,
        "metrics": {"test": evaluation["test"], "validation": evaluation["validation"]},
        **_provenance(project, settings),
    }
    write_manifest(folder, fields, {variant.file: variant.graph_facts() for variant in kept})
    return {
        "family": family.name,
        "machine": {"processor": processor_name(), "cores": available_cores()},
        "test_comments": len(rows),
        "devices": devices,
        "variants": [variant.report(settings.export) for variant in variants],
        "dropped": dropped,
        "int8_refused_because": _refusal(variants, dropped, devices["cpu"], settings.export),
        "torch_fp32_comments_per_second": _original_speed(family, candidate, rows),
    }


@contextmanager
def _dropping(file: str, dropped: dict[str, str]) -> Iterator[None]:
    """Note the reason if the graph in this file cannot be written or measured: the others can be served without it."""
    try:
        yield
    except Exception as error:  # ONNX Runtime and the tools around it raise many kinds
        if disk_is_full(error):
            raise
        dropped[file] = first_line(error)


def _clear(folder: Path, kept: set[str]) -> None:
    """Delete all files but these and their external data: variants that are not served, and what failed tools left."""
    kept = kept | {data_file(folder / name).name for name in kept}
    for path in folder.iterdir():
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _provenance(project: Project, settings: Settings) -> dict[str, Any]:
    """The fields of the manifest about data, parameters, code and environment."""
    return {
        "data": data_facts(project, source_name(settings.data)),
        "params": read_params(project.params),
        "git": git_facts(project.root),
        "environment": environment_facts(),
    }


def _calibration(project: Project, tokenizer: Tokenizer, settings: Settings) -> list[list[int]]:
    """Token ids of training comments, on which the range of activations is measured."""
    return encode(tokenizer, read_part(project.prepared, "train", settings.labels).texts[:CALIBRATION_COMMENTS])


def _choose_cascade(project: Project, candidate: Path, settings: Settings) -> Cascade | None:
    """The best cascade of a cheap family and the encoder, chosen on the validation part."""
    first = {
        name: (
            read_predictions(project.candidate(name), "validation", settings.labels),
            float(read_json(project.evaluated(name))["temperature"]),
        )
        for name in settings.candidates
        if catalog.families()[name].answers_first
    }
    encoder = read_predictions(candidate, "validation", settings.labels)
    return choose_cascade(encoder, first, settings.export.max_f1_loss, settings.evaluate.resamples, settings.seed)


def _for_cascades(limits: ExportSettings) -> ExportSettings:
    """Limits for a cascade: without a limit on agreement, because many of its labels come from another model."""
    return limits.model_copy(update={"min_agreement": 0.0})


def _write_cascade(project: Project, folder: Path, encoder: str, cascade: Cascade, temperature: float) -> None:
    linear = onnx.load(project.candidate(cascade.family) / GRAPH)
    graph = cascade_graph(linear, onnx.load(folder / encoder), cascade.temperature, temperature, cascade.threshold)
    save_graph(graph, folder / CASCADE_GRAPH)


def _reference(
    candidate: Path, folder: Path, rows: list[list[int]], settings: Settings, temperature: float
) -> Probabilities:
    """The calibrated probabilities of the fp32 graph, compared with those of training."""
    trained = read_predictions(candidate, "test", settings.labels)
    with Engine(folder / REFERENCE_GRAPH) as engine:
        logits = engine.logits(rows)
    difference = float(np.abs(softmax(logits) - trained.probabilities).max())
    if difference > EXPORT_TOLERANCE:
        raise CommentwiseError(
            f"the exported graph's probabilities differ by up to {difference:.3f} from those measured in training (at most {EXPORT_TOLERANCE}): "
            "train again, or report this checkpoint"
        )
    return softmax(logits, temperature)


def _measure(
    graph: Path, precision: str, rows: list[list[int]], reference: Probabilities, test: Part, temperature: float
) -> Variant:
    on_gpu = precision == "fp16"
    with Engine(graph) as engine:
        return Variant(
            graph.name,
            precision,
            parity.measure(engine, rows, reference, test.targets, temperature, batched=on_gpu),
            parity.batch_effect(engine, rows, temperature) if not on_gpu else {},
            comments_per_second(engine.logits, rows) if not on_gpu else None,
            sum(path.stat().st_size for path in (graph, data_file(graph)) if path.is_file()),
        )


def choose_graphs(variants: Sequence[Variant], limits: ExportSettings) -> dict[str, str]:
    """The graph for each device, by device: the fastest within the limits for cpu, fp16 for cuda; else fp32."""
    passing = [
        variant for variant in variants if variant.file == REFERENCE_GRAPH or not variant.parity.failures(limits)
    ]
    cpu = max(passing, key=lambda variant: variant.comments_per_second or 0)
    fp16 = [variant.file for variant in passing if variant.precision == "fp16"]
    return {"cpu": cpu.file, "cuda": fp16[0] if fp16 else REFERENCE_GRAPH}


def _refusal(variants: Sequence[Variant], dropped: dict[str, str], served: str, limits: ExportSettings) -> list[str]:
    """The reasons why no int8 graph is served on the CPU; empty if one is, or if the family has none."""
    int8 = [variant for variant in variants if variant.precision == "int8"]
    if not int8:
        return [f"{file}: {reason}" for file, reason in dropped.items() if file.startswith("int8")]
    if any(variant.file == served for variant in int8):
        return []
    return min((variant.parity.failures(limits) for variant in int8), key=len) or ["it is slower than fp32 here"]


def _write_golden(folder: Path, kept: Sequence[Variant], settings: Settings, temperature: float) -> None:
    rows = encode(load_tokenizer(folder / TOKENIZER, settings.max_tokens), GOLDEN_TEXTS)
    probabilities = {}
    for variant in kept:
        with Engine(folder / variant.file) as engine:
            probabilities[variant.file] = np.round(softmax(engine.logits(rows), temperature), 6).tolist()
    golden = {"texts": GOLDEN_TEXTS, "probabilities": probabilities}
    (folder / GOLDEN).write_text(json.dumps(golden, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _original_speed(family: Family[Any], candidate: Path, rows: list[list[int]]) -> float | None:
    """Comments per second of the model in the library that trained it, in padded batches of similar length."""
    original = family.original(candidate)
    return comments_per_second(partial(parity.in_batches, original), rows) if original else None


if __name__ == "__main__":
    run_command(main)

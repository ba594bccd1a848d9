"""Stage export: turn the winner into the bundle that is served.

Every variant of the graph is measured on the test part. A smaller precision replaces fp32 only if it holds the limits
in params.yaml (section export); among those that do, each device gets the fastest. Beside an encoder the bundle gets a
cascade if that holds the limits too: faster, for whoever asks for it by name, since some labels are not the encoder's.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from tokenizers import Tokenizer

from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import atomic_folder, read_json, write_json
from commentwise.models.bundle import GOLDEN, TOKENIZER, Classifier, write_manifest
from commentwise.models.cores import available_cores
from commentwise.models.engine import Engine
from commentwise.models.graphs.cascade import cascade_graph
from commentwise.models.probabilities import softmax
from commentwise.models.tokens import encode, load_tokenizer
from commentwise.training.candidate import ENCODER, GRAPH, Part, read_part, read_predictions
from commentwise.training.choice import parity
from commentwise.training.choice.first_stage import Cascade, choose_cascade
from commentwise.training.choice.parity import Parity, comments_per_second
from commentwise.training.data.sources import source_name
from commentwise.training.project import BUNDLE, CANDIDATES, EVALUATION, EXPORT_REPORT, LINEAR_FAMILIES, WINNER
from commentwise.training.provenance import data_facts, environment_facts, git_facts
from commentwise.training.resources import processor_name
from commentwise.training.scores import Probabilities
from commentwise.training.settings import ExportSettings, Settings, load_settings, read_params

REFERENCE_GRAPH = "fp32.onnx"
CASCADE_GRAPH = "cascade.onnx"
EXPORT_TOLERANCE = 0.005
"""How far any fp32 ONNX probability may stand from what training measured: float rounding, no more."""

CALIBRATION_COMMENTS = 256

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
    """One graph that could be served, and what was measured of it."""

    file: str
    precision: str
    parity: Parity
    """fp16 as a GPU serves it, in batches; the others one comment at a time."""
    batch_effect: dict[str, float]
    comments_per_second: float | None
    """On this machine's CPU; None for fp16, which only a GPU serves."""
    size: int
    cascade: Cascade | None = None
    """Where the graph is one: what was chosen on the validation part."""

    def failures(self, limits: ExportSettings) -> list[str]:
        """Each limit that is not held."""
        return self.parity.failures(_for_cascades(limits) if self.cascade else limits)

    def report(self, limits: ExportSettings) -> dict[str, Any]:
        """For the export report."""
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
    """Run the stage in the current folder."""
    settings = load_settings()
    with atomic_folder(BUNDLE) as folder:
        report = export(settings, folder)
        Classifier(folder)  # refuses what it would refuse in production
    write_json(EXPORT_REPORT, report)
    chosen = next(variant for variant in report["variants"] if variant["file"] == report["devices"]["cpu"])
    refusal = f"; int8 refused: {'; '.join(report['int8_refused_because'])}" if report["int8_refused_because"] else ""
    print(
        f"export: {report['family']} as {chosen['file']} on the CPU, {chosen['size'] / 1e6:.1f} MB, {chosen['comments_per_second']:.0f} comments/s, "
        f"{chosen['agreement']:.2%} of fp32's labels{refusal}"
    )


def export(settings: Settings, folder: Path) -> dict[str, Any]:
    """Write the bundle of the winner into `folder` and return the export report.

    Raises CommentwiseError when the fp32 graph does not reproduce what training measured.
    """
    facts, evaluation = read_json(WINNER / "metrics.json"), read_json(WINNER / "evaluation.json")
    test = read_part("test", settings.labels)
    shutil.copyfile(WINNER / "tokenizer.json", folder / TOKENIZER)
    tokenizer = load_tokenizer(folder / TOKENIZER, settings.max_tokens)
    rows = encode(tokenizer, test.texts)
    is_encoder = (WINNER / ENCODER).is_dir()
    made = _encoder_graphs(folder, _calibration(tokenizer, settings)) if is_encoder else _linear_graph(folder)
    reference = _reference(folder, rows, test, settings, evaluation["temperature"])
    measure = partial(_measure, rows=rows, reference=reference, test=test, temperature=evaluation["temperature"])
    variants = [measure(folder / file, precision) for file, precision in made.items()]
    devices = choose_graphs(variants, settings.export)
    kept_files = {REFERENCE_GRAPH, *devices.values()}
    cascade = _choose_cascade(settings) if is_encoder else None
    if cascade:
        encoder = choose_graphs(variants, _for_cascades(settings.export))["cpu"]
        _write_cascade(folder, encoder, cascade, evaluation["temperature"])
        variants.append(replace(measure(folder / CASCADE_GRAPH, made[encoder]), cascade=cascade))
        kept_files |= {variant.file for variant in variants[-1:] if not variant.failures(settings.export)}
    kept = [variant for variant in variants if variant.file in kept_files]
    for variant in variants:
        if variant not in kept:
            (folder / variant.file).unlink()
    _write_golden(folder, kept, settings, evaluation["temperature"])
    fields = {
        "family": facts["family"],
        "checkpoint": settings.families.bert.checkpoint,
        "labels": settings.labels,
        "max_tokens": settings.max_tokens,
        "temperature": evaluation["temperature"],
        "devices": devices,
        "metrics": {"test": evaluation["test"], "validation": evaluation["validation"]},
        "data": data_facts(source_name(settings.data)),
        "params": read_params(),
        "git": git_facts(),
        "environment": environment_facts(),
    }
    graphs = {variant.file: {"precision": variant.precision, "parity": variant.parity.as_dict()} for variant in kept}
    if CASCADE_GRAPH in graphs and cascade:
        graphs[CASCADE_GRAPH]["cascade"] = asdict(cascade)
    write_manifest(folder, fields, graphs)
    return {
        "family": facts["family"],
        "machine": {"processor": processor_name(), "cores": available_cores()},
        "test_comments": len(rows),
        "devices": devices,
        "variants": [variant.report(settings.export) for variant in variants],
        "int8_refused_because": _refusal(variants, devices["cpu"], settings.export),
        "torch_fp32_comments_per_second": _torch_speed(rows) if is_encoder else None,
    }


def _calibration(tokenizer: Tokenizer, settings: Settings) -> list[list[int]]:
    """Token ids of training comments that show how large activations get."""
    return encode(tokenizer, read_part("train", settings.labels).texts[:CALIBRATION_COMMENTS])


def _encoder_graphs(folder: Path, calibration: list[list[int]]) -> dict[str, str]:
    """Make every variant of the encoder; file name to precision."""
    from commentwise.models.graphs import (
        encoder as onnx_export,  # needs torch and optimum, which a linear winner does not
    )
    from commentwise.models.graphs.smoothquant import smooth

    reference, optimised = folder / REFERENCE_GRAPH, folder / "fp32-optimised.onnx"
    onnx_export.export_encoder(WINNER / ENCODER, reference)
    onnx_export.optimise(reference, optimised, *onnx_export.attention_shape(WINNER / ENCODER))
    onnx_export.quantise(reference, folder / "int8.onnx")
    onnx_export.quantise(optimised, folder / "int8-optimised.onnx")
    smooth(reference, folder / "smoothed.onnx", calibration)
    onnx_export.quantise(folder / "smoothed.onnx", folder / "int8-smoothed.onnx")
    (folder / "smoothed.onnx").unlink()
    onnx_export.halve(reference, folder / "fp16.onnx")
    return {
        REFERENCE_GRAPH: "fp32",
        optimised.name: "fp32",
        "int8.onnx": "int8",
        "int8-optimised.onnx": "int8",
        "int8-smoothed.onnx": "int8",
        "fp16.onnx": "fp16",
    }


def _choose_cascade(settings: Settings) -> Cascade | None:
    """The cascade that the validation part allows, of the winner and the linear candidates."""
    linear = {
        family: (
            read_predictions(family, "validation", settings.labels),
            float(read_json(EVALUATION / family / "metrics.json")["temperature"]),
        )
        for family in LINEAR_FAMILIES
    }
    winner = read_predictions("", "validation", settings.labels, WINNER)
    return choose_cascade(winner, linear, settings.export.max_f1_loss, settings.evaluate.resamples, settings.seed)


def _for_cascades(limits: ExportSettings) -> ExportSettings:
    """A cascade need not give fp32's labels, half of them being another model's: what it loses is what counts."""
    return limits.model_copy(update={"min_agreement": 0.0})


def _write_cascade(folder: Path, encoder: str, cascade: Cascade, temperature: float) -> None:
    linear = onnx.load(CANDIDATES / cascade.family / GRAPH)
    graph = cascade_graph(linear, onnx.load(folder / encoder), cascade.temperature, temperature, cascade.threshold)
    onnx.save(graph, folder / CASCADE_GRAPH)


def _linear_graph(folder: Path) -> dict[str, str]:
    shutil.copyfile(WINNER / GRAPH, folder / REFERENCE_GRAPH)
    return {REFERENCE_GRAPH: "fp32"}


def _reference(
    folder: Path, rows: list[list[int]], test: Part, settings: Settings, temperature: float
) -> Probabilities:
    """fp32's calibrated probabilities, after checking that they are those training measured."""
    trained = read_predictions("", "test", settings.labels, WINNER)
    with Engine(folder / REFERENCE_GRAPH) as engine:
        logits = engine.logits(rows)
    difference = float(np.abs(softmax(logits) - trained.probabilities).max())
    if difference > EXPORT_TOLERANCE:
        raise CommentwiseError(
            f"the exported graph's probabilities are up to {difference:.3f} away from those training measured (at most {EXPORT_TOLERANCE}): "
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
            parity.measure(engine, rows, reference, test.true, temperature, batched=on_gpu),
            parity.batch_effect(engine, rows, temperature) if not on_gpu else {},
            comments_per_second(engine.logits, rows) if not on_gpu else None,
            graph.stat().st_size,
        )


def choose_graphs(variants: Sequence[Variant], limits: ExportSettings) -> dict[str, str]:
    """The graph for each device: the fastest that passes on the CPU, fp16 on CUDA if it passes; else fp32."""
    passing = [
        variant for variant in variants if variant.file == REFERENCE_GRAPH or not variant.parity.failures(limits)
    ]
    cpu = max(passing, key=lambda variant: variant.comments_per_second or 0)
    halves = [variant.file for variant in passing if variant.precision == "fp16"]
    return {"cpu": cpu.file, "cuda": halves[0] if halves else REFERENCE_GRAPH}


def _refusal(variants: Sequence[Variant], served: str, limits: ExportSettings) -> list[str]:
    """Why int8 is not what the CPU serves; empty if it is, or if there is none."""
    int8 = [variant for variant in variants if variant.precision == "int8"]
    if not int8 or any(variant.file == served for variant in int8):
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


def _torch_speed(rows: list[list[int]]) -> float:
    """Throughput of the same model in torch: fp32, all cores, padded batches of like length."""
    from commentwise.training.choice.torch_engine import TorchEngine

    return comments_per_second(partial(parity.in_batches, TorchEngine(WINNER / ENCODER)), rows)


if __name__ == "__main__":
    run_command(main)

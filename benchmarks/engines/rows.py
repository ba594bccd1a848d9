"""The ways to run the encoder in one process that benchmarks.engines compares: what people use today, up to a cascade.

Each takes texts and gives probabilities, so that all pay for their tokens; how texts become a batch is the row's own.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from commentwise.training.choice.torch_engine import TorchEngine
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, pipeline

from benchmarks.engines import openvino_engine
from commentwise.comments.normalize import normalize
from commentwise.models.bundle import TOKENIZER, Manifest
from commentwise.models.cores import available_cores
from commentwise.models.encoders.classifier import classifier
from commentwise.models.encoders.packing import pack
from commentwise.models.engine import Engine, available_device
from commentwise.models.graphs import encoder as onnx_export
from commentwise.models.graphs.smoothquant import smooth
from commentwise.models.probabilities import softmax
from commentwise.models.tokens import encode, load_tokenizer
from commentwise.training.choice.parity import Runner
from commentwise.training.scores import Probabilities

PIPELINE = "transformers pipeline"
INT8 = "ONNX Runtime int8"
CASCADE = "cascade"
NO_GPU = "this machine has no CUDA GPU"

Answer = Callable[[Sequence[str]], Probabilities]
"""Calibrated probabilities of one batch of texts, shape (texts, labels)."""


@dataclass(frozen=True)
class Row:
    """One way to run the encoder."""

    name: str
    runtime: str
    precision: str
    what: str
    size: int
    """Bytes of weights and graph as they lie on disk."""
    open: Callable[[], AbstractContextManager[Answer]]
    at_once: int = 1
    """Calls that keep all cores busy: one per core, or one where the runtime spreads a call over the cores."""
    sorts: bool = True
    """Whether comments of like length are put together before they are batched."""


@dataclass(frozen=True)
class Subject:
    """The encoder in all the forms that the rows need."""

    bundle: Path
    checkpoint: Path
    """Folder of the encoder as transformers reads it."""
    calibration: list[list[int]]
    """Token ids of training comments."""
    scratch: Path
    """An empty folder."""

    @property
    def manifest(self) -> Manifest:
        """The bundle's."""
        return Manifest.from_json(self.bundle / "manifest.json")

    @property
    def tokenizer(self) -> Tokenizer:
        """The bundle's, cutting where it cuts."""
        return load_tokenizer(self.bundle / TOKENIZER, self.manifest.max_tokens)


def make_rows(subject: Subject) -> tuple[list[Row], dict[str, str]]:
    """All rows that this machine can run, and of the others the reason why not."""
    rows = [*_torch_rows(subject), *_onnx_rows(subject)]
    missing = {}
    if openvino_engine.installed():
        rows.append(_openvino_row(subject))
    else:
        missing["OpenVINO int8"] = f"it is not installed: {openvino_engine.INSTALL}"
    if torch.cuda.is_available():
        rows.append(_packed_row(subject))
    else:
        missing["torch bf16, packed, GPU"] = NO_GPU
    if available_device() == "cuda":
        rows.append(_gpu_row(subject))
    else:
        missing["ONNX Runtime fp16, GPU"] = NO_GPU
    cascades = [name for name, entry in subject.manifest.files.items() if "cascade" in entry]
    if cascades:
        what = f"{INT8} after a linear model that answers what it is sure of"
        rows.append(_graph_row(CASCADE, "int8", what, subject, subject.bundle / cascades[0]))
    else:
        missing[CASCADE] = "none held the limits of section export in params.yaml"
    return rows, missing


def _torch_rows(subject: Subject) -> list[Row]:
    size = (subject.checkpoint / "model.safetensors").stat().st_size
    return [
        Row(
            PIPELINE,
            "torch",
            "fp32",
            "transformers' text-classification pipeline, padded batches",
            size,
            partial(_open_pipeline, subject),
            sorts=False,
        ),
        Row("torch fp32", "torch", "fp32", "comments of like length together", size, _torch(subject, torch.float32)),
        Row("torch bf16", "torch", "bf16", "the same in bf16", size, _torch(subject, torch.bfloat16)),
    ]


@contextmanager
def _open_pipeline(subject: Subject) -> Iterator[Answer]:
    torch.set_num_threads(available_cores())
    manifest = subject.manifest
    classify = pipeline(
        "text-classification",
        model=str(subject.checkpoint),
        tokenizer=str(subject.checkpoint),
        truncation=True,
        max_length=manifest.max_tokens,
        top_k=None,
        function_to_apply="none",
    )

    def answer(texts: Sequence[str]) -> Probabilities:
        found: list[Any] = classify([normalize(text) for text in texts], batch_size=len(texts))
        by_label = [{str(entry["label"]): float(entry["score"]) for entry in entries} for entries in found]
        logits = np.array([[scores[label] for label in manifest.labels] for scores in by_label])
        return softmax(logits, manifest.temperature)

    yield answer


def _torch(subject: Subject, dtype: torch.dtype) -> Callable[[], AbstractContextManager[Answer]]:
    @contextmanager
    def opened() -> Iterator[Answer]:
        yield _answering(TorchEngine(subject.checkpoint, dtype), subject)

    return opened


def _answering(engine: Runner, subject: Subject, temperature: float | None = None) -> Answer:
    """Tokens, one call, calibrated probabilities; by default with the encoder's temperature."""
    tokenizer, temperature = subject.tokenizer, temperature or subject.manifest.temperature
    return lambda texts: softmax(engine.batch_logits(encode(tokenizer, texts)), temperature)


def _onnx_rows(subject: Subject) -> list[Row]:
    reference, fused = subject.bundle / "fp32.onnx", subject.scratch / "fused.onnx"
    onnx_export.optimise(reference, fused, *onnx_export.attention_shape(subject.checkpoint))
    return [
        _graph_row("ONNX Runtime fp32", "fp32", "as exported, one thread per comment", subject, reference),
        _graph_row("ONNX Runtime fp32, fused", "fp32", "attention, normalisation and GELU fused", subject, fused),
        _graph_row(INT8, "int8", "weights per channel, activations as they come", subject, _int8_graph(subject)),
    ]


def _int8_graph(subject: Subject) -> Path:
    """The int8 graph that the bundle serves, or one made likewise where the limits refused it."""
    served = subject.manifest.devices["cpu"]
    if subject.manifest.files[served]["precision"] == "int8":
        return subject.bundle / served
    smoothed, made = subject.scratch / "smoothed.onnx", subject.scratch / "int8.onnx"
    smooth(subject.bundle / "fp32.onnx", smoothed, subject.calibration)
    onnx_export.quantise(smoothed, made)
    return made


def linear_row(family: str, graph: Path, temperature: float, subject: Subject) -> Row:
    """A linear candidate, run as its bundle would be."""
    return _graph_row(family, "fp32", "linear model of word pieces", subject, graph, temperature)


def _graph_row(
    name: str, precision: str, what: str, subject: Subject, graph: Path, temperature: float | None = None
) -> Row:
    @contextmanager
    def opened() -> Iterator[Answer]:
        with Engine(graph) as engine:
            yield _answering(engine, subject, temperature)

    return Row(name, "ONNX Runtime", precision, what, graph.stat().st_size, opened, available_cores())


def _openvino_row(subject: Subject) -> Row:
    graph = subject.scratch / "openvino.xml"
    openvino_engine.quantise_smoothly(subject.bundle / "fp32.onnx", graph, subject.calibration)
    size = graph.stat().st_size + graph.with_suffix(".bin").stat().st_size

    @contextmanager
    def opened() -> Iterator[Answer]:
        with openvino_engine.OpenVinoEngine(graph, {"INFERENCE_PRECISION_HINT": "bf16"}) as engine:
            yield _answering(engine, subject)

    what = "static int8 by NNCF with SmoothQuant, bf16 for the rest"
    return Row("OpenVINO int8", "OpenVINO", "int8", what, size, opened, available_cores())


def _packed_row(subject: Subject) -> Row:
    @contextmanager
    def opened() -> Iterator[Answer]:
        model = AutoModelForSequenceClassification.from_pretrained(subject.checkpoint, dtype=torch.bfloat16)
        module = classifier(model.cuda().eval())
        tokenizer, temperature = subject.tokenizer, subject.manifest.temperature

        @torch.inference_mode()
        def answer(texts: Sequence[str]) -> Probabilities:
            logits = module(pack(encode(tokenizer, texts)).to("cuda"))
            return softmax(logits.float().cpu().numpy(), temperature)

        yield answer

    size = (subject.checkpoint / "model.safetensors").stat().st_size
    what = "comments one after the other, without padding"
    return Row("torch bf16, packed, GPU", "torch", "bf16", what, size, opened)


def _gpu_row(subject: Subject) -> Row:
    graph = subject.bundle / subject.manifest.devices["cuda"]

    @contextmanager
    def opened() -> Iterator[Answer]:
        with Engine(graph, "cuda") as engine:
            yield _answering(engine, subject)

    precision = subject.manifest.files[graph.name]["precision"]
    what = "padded batches of like length"
    return Row("ONNX Runtime fp16, GPU", "ONNX Runtime", precision, what, graph.stat().st_size, opened)

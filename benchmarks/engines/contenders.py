"""The engines that benchmarks.engines compares: ways to run the encoder in one process.

Each takes texts and returns probabilities, so that tokenisation counts for all; each forms its batches in its own way.

To add an engine: write a function that takes a Subject and returns a Contender, or raises Unavailable with the reason,
and add it to BUILDERS under the name that the report shows. Nothing else lists engines.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, pipeline

from benchmarks.engines import openvino_engine
from benchmarks.result import Unavailable
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
from commentwise.training.families.family import Runner
from commentwise.training.finetune.torch_engine import TorchEngine
from commentwise.training.scores import Probabilities

PIPELINE = "transformers pipeline"
FP32 = "ONNX Runtime fp32"
INT8 = "ONNX Runtime int8"
CASCADE = "cascade"
NO_GPU = "this machine has no CUDA GPU"

Answer = Callable[[Sequence[str]], Probabilities]
"""Returns the calibrated probabilities of one batch of texts, shape (texts, labels)."""


@dataclass(frozen=True)
class Contender:
    """One engine."""

    runtime: str
    precision: str
    description: str
    size: int
    """Bytes of weights and graph on disk."""
    open: Callable[[], AbstractContextManager[Answer]]
    concurrent_calls: int = 1
    """Calls that keep all cores busy: one per core, or one if the runtime spreads a call over the cores."""
    sorts_by_length: bool = True
    """Comments of similar length are batched together."""
    has_peak: bool = True
    """It computes every comment on the CPU, so that its speed has a share of the measured peak."""


@dataclass(frozen=True)
class Subject:
    """The encoder in all the forms that the engines need."""

    bundle: Path
    checkpoint: Path
    """Folder of the encoder in the form that transformers loads."""
    calibration: list[list[int]]
    """The input_ids of training comments."""
    scratch: Path
    """An empty folder."""

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return Manifest.from_json(self.bundle / "manifest.json")

    @property
    def tokenizer(self) -> Tokenizer:
        """The bundle's tokenizer, with its truncation."""
        return load_tokenizer(self.bundle / TOKENIZER, self.manifest.max_tokens)


def make_contenders(subject: Subject) -> tuple[dict[str, Contender], dict[str, str]]:
    """All engines that this machine can run, and the reasons why it cannot run the others, both by name."""
    contenders: dict[str, Contender] = {}
    missing: dict[str, str] = {}
    for name, build in BUILDERS.items():
        try:
            contenders[name] = build(subject)
        except Unavailable as error:
            missing[name] = str(error)
    return contenders, missing


def linear_contender(graph: Path, temperature: float, subject: Subject) -> Contender:
    """A linear candidate, run as its bundle would run it."""
    return _graph("fp32", "linear model", subject, graph, temperature)


def _pipeline(subject: Subject) -> Contender:
    description = "transformers' text-classification pipeline, padded batches"
    return Contender(
        "torch", "fp32", description, _weights(subject), partial(_open_pipeline, subject), sorts_by_length=False
    )


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
        predictions: list[Any] = classify([normalize(text) for text in texts], batch_size=len(texts))
        by_label = [{str(entry["label"]): float(entry["score"]) for entry in entries} for entries in predictions]
        logits = np.array([[scores[label] for label in manifest.labels] for scores in by_label])
        return softmax(logits, manifest.temperature)

    yield answer


def _torch(dtype: torch.dtype, precision: str, description: str, subject: Subject) -> Contender:
    @contextmanager
    def opened() -> Iterator[Answer]:
        yield _answering(TorchEngine(subject.checkpoint, dtype), subject)

    return Contender("torch", precision, description, _weights(subject), opened)


def _packed(subject: Subject) -> Contender:
    if not torch.cuda.is_available():
        raise Unavailable(NO_GPU)

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

    return Contender("torch", "bf16", "comments one after the other, without padding", _weights(subject), opened, has_peak=False)  # fmt: skip


def _fp32(subject: Subject) -> Contender:
    return _graph("fp32", "as exported, one thread per comment", subject, subject.bundle / "fp32.onnx")


def _fused(subject: Subject) -> Contender:
    fused = subject.scratch / "fused.onnx"
    onnx_export.optimise(subject.bundle / "fp32.onnx", fused, *onnx_export.attention_shape(subject.checkpoint))
    return _graph("fp32", "attention, normalisation and GELU fused", subject, fused)


def _int8(subject: Subject) -> Contender:
    return _graph("int8", "weights per channel, dynamic activation scales", subject, _int8_graph(subject))


def _int8_graph(subject: Subject) -> Path:
    """The int8 graph that the bundle serves, or one made in the same way if the export's limits refused it."""
    served = subject.manifest.devices["cpu"]
    if subject.manifest.files[served]["precision"] == "int8":
        return subject.bundle / served
    smoothed, quantised = subject.scratch / "smoothed.onnx", subject.scratch / "int8.onnx"
    smooth(subject.bundle / "fp32.onnx", smoothed, subject.calibration)
    onnx_export.quantise(smoothed, quantised)
    return quantised


def _openvino(subject: Subject) -> Contender:
    if not openvino_engine.installed():
        raise Unavailable(f"it is not installed: {openvino_engine.INSTALL}")
    graph = subject.scratch / "openvino.xml"
    openvino_engine.quantise_smoothly(subject.bundle / "fp32.onnx", graph, subject.calibration)
    size = graph.stat().st_size + graph.with_suffix(".bin").stat().st_size

    @contextmanager
    def opened() -> Iterator[Answer]:
        with openvino_engine.OpenVinoEngine(graph, {"INFERENCE_PRECISION_HINT": "bf16"}) as engine:
            yield _answering(engine, subject)

    description = "static int8 by NNCF with SmoothQuant, bf16 for the rest"
    return Contender("OpenVINO", "int8", description, size, opened, available_cores())


def _gpu(subject: Subject) -> Contender:
    if available_device() != "cuda":
        raise Unavailable(NO_GPU)
    graph = subject.bundle / subject.manifest.devices["cuda"]

    @contextmanager
    def opened() -> Iterator[Answer]:
        with Engine(graph, "cuda") as engine:
            yield _answering(engine, subject)

    precision = subject.manifest.files[graph.name]["precision"]
    description = "padded batches of similar length"
    return Contender("ONNX Runtime", precision, description, graph.stat().st_size, opened, has_peak=False)


def _cascade(subject: Subject) -> Contender:
    cascades = [name for name, entry in subject.manifest.files.items() if "cascade" in entry]
    if not cascades:
        raise Unavailable("none held the limits of section export in params.yaml")
    description = f"{INT8} behind a linear model that answers the comments it is sure of"
    return _graph("int8", description, subject, subject.bundle / cascades[0], has_peak=False)


def _graph(
    precision: str,
    description: str,
    subject: Subject,
    graph: Path,
    temperature: float | None = None,
    has_peak: bool = True,
) -> Contender:
    @contextmanager
    def opened() -> Iterator[Answer]:
        with Engine(graph) as engine:
            yield _answering(engine, subject, temperature)

    size = graph.stat().st_size
    return Contender("ONNX Runtime", precision, description, size, opened, available_cores(), has_peak=has_peak)


def _answering(engine: Runner, subject: Subject, temperature: float | None = None) -> Answer:
    """Tokenise, run one call, and calibrate with `temperature`, by default the encoder's."""
    tokenizer, temperature = subject.tokenizer, temperature or subject.manifest.temperature
    return lambda texts: softmax(engine.batch_logits(encode(tokenizer, texts)), temperature)


def _weights(subject: Subject) -> int:
    """Bytes of the checkpoint's weights."""
    return (subject.checkpoint / "model.safetensors").stat().st_size


BUILDERS: dict[str, Callable[[Subject], Contender]] = {
    PIPELINE: _pipeline,
    "torch fp32": partial(_torch, torch.float32, "fp32", "comments of similar length together"),
    "torch bf16": partial(_torch, torch.bfloat16, "bf16", "the same in bf16"),
    FP32: _fp32,
    "ONNX Runtime fp32, fused": _fused,
    INT8: _int8,
    "OpenVINO int8": _openvino,
    "torch bf16, packed, GPU": _packed,
    "ONNX Runtime fp16, GPU": _gpu,
    CASCADE: _cascade,
}
"""Every engine by its name in the result; the first is the reference that the others are compared with."""

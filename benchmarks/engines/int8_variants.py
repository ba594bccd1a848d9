"""The variants that benchmarks.engines.int8 compares: ways to run an encoder in int8 on a CPU, with each runtime's tools."""

import contextlib
import io
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_static

from benchmarks.engines.openvino_engine import OpenVinoEngine, compress_weights, quantise_smoothly
from benchmarks.engines.result import STUDY_SERVED
from commentwise.models.cores import available_cores
from commentwise.models.engine import Engine, padded
from commentwise.models.graphs import encoder as onnx_export
from commentwise.models.graphs.smoothquant import smooth
from commentwise.training.families.family import Runner
from commentwise.training.finetune.torch_engine import TorchEngine

REFERENCE = "fp32.onnx"
QUANTISED = ["MatMul", "Gemm", "Gather"]

Rows = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Variant:
    """One way to run the encoder."""

    runtime: str
    name: str
    precision: str
    description: str
    size: int
    """Bytes of weights and graph on disk."""
    open: Callable[[], AbstractContextManager[Runner]] = field(repr=False)
    concurrent_batches: int
    """Batches that keep all cores busy: one per core, or one if the runtime spreads a batch over the cores."""


@dataclass(frozen=True)
class Recipe:
    """One way to choose the fixed scales of static int8 in ONNX Runtime."""

    name: str
    description: str
    smoothed: bool = True
    """Apply SmoothQuant first."""
    outputs: bool = False
    """Quantise the outputs of products too, the quantiser's default."""
    method: Any = CalibrationMethod.MinMax
    options: dict[str, Any] = field(default_factory=dict)
    """Extra options of the quantiser."""


STATIC = (
    Recipe("min-max, outputs too", "fixed activation scales, for outputs too", smoothed=False, outputs=True),
    Recipe("min-max", "fixed scales for the inputs of products", smoothed=False),
    Recipe("min-max, smoothed", "the same after SmoothQuant"),
    Recipe("moving average, smoothed", "scales from a typical comment", options={"CalibMovingAverage": True}),
    Recipe("entropy, smoothed", "scales that lose the least information", method=CalibrationMethod.Entropy),
    Recipe(
        "percentile, smoothed",
        "scales that cut off the outermost 0.01% of values",
        method=CalibrationMethod.Percentile,
        options={"CalibPercentile": 99.99},
    ),
)


def make_variants(encoder: Path, folder: Path, calibration: Rows, with_openvino: bool) -> list[Variant]:
    """Build every variant of the encoder that transformers saved in `encoder`, in the empty folder `folder`.

    `calibration` holds the input_ids of training comments. The fp32 reference graph is left in `folder` too.
    """
    graphs = _fp32_graphs(encoder, folder, calibration)
    variants = [*_torch_variants(encoder), *_dynamic_variants(graphs), *_static_variants(graphs, calibration)]
    if with_openvino:
        _, hidden = onnx_export.attention_shape(encoder)
        variants += _openvino_variants(graphs["fp32"], calibration, hidden)
    return variants


def _fp32_graphs(encoder: Path, folder: Path, calibration: Rows) -> dict[str, Path]:
    graphs = {name: folder / f"{name}.onnx" for name in ("fp32", "optimised", "smoothed")}
    onnx_export.export_encoder(encoder, folder / REFERENCE)
    onnx_export.optimise(graphs["fp32"], graphs["optimised"], *onnx_export.attention_shape(encoder))
    smooth(graphs["fp32"], graphs["smoothed"], calibration)
    return graphs


def _torch_variants(encoder: Path) -> list[Variant]:
    size = (encoder / "model.safetensors").stat().st_size
    return [
        Variant("torch", name, name, description, size, partial(_open_torch, encoder, dtype), 1)
        for name, dtype, description in (
            ("fp32", torch.float32, "the trained model"),
            ("bf16", torch.bfloat16, "weights and arithmetic in bf16, converted when loaded"),
        )
    ]


def _open_torch(encoder: Path, dtype: torch.dtype) -> AbstractContextManager[Runner]:
    return nullcontext(TorchEngine(encoder, dtype))


def _dynamic_variants(graphs: dict[str, Path]) -> list[Variant]:
    dynamic, smoothed = (graphs["fp32"].with_name(f"dynamic-{name}.onnx") for name in ("fp32", "smoothed"))
    onnx_export.quantise(graphs["fp32"], dynamic)
    onnx_export.quantise(graphs["smoothed"], smoothed)
    return [
        _ort_variant("fp32", "fused operators", graphs["optimised"], "fp32"),
        _ort_variant("dynamic int8", "one activation scale per call, computed from its comments", dynamic),
        _ort_variant(STUDY_SERVED, "the same after SmoothQuant", smoothed),
    ]


def _static_variants(graphs: dict[str, Path], calibration: Rows) -> list[Variant]:
    variants = []
    for number, recipe in enumerate(STATIC):
        out = graphs["fp32"].with_name(f"static-{number}.onnx")
        quantise_static(graphs["smoothed" if recipe.smoothed else "fp32"], out, calibration, recipe)
        variants.append(_ort_variant(f"static int8, {recipe.name}", recipe.description, out))
    return variants


def _ort_variant(name: str, description: str, graph: Path, precision: str = "int8") -> Variant:
    return Variant(
        "ONNX Runtime", name, precision, description, graph.stat().st_size, partial(Engine, graph), available_cores()
    )


class _Comments(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, rows: Rows) -> None:
        self._feeds = iter([padded([row]) for row in rows])

    def get_next(self) -> dict[str, NDArray[np.int64]] | None:
        return next(self._feeds, None)


def quantise_static(graph: Path, out: Path, calibration: Rows, recipe: Recipe) -> None:
    """Write a graph in static int8: weights per channel, one fixed scale per activation.

    The scales are chosen on `calibration`, the input_ids of comments. Only products with weights are quantised, and
    unless the recipe says otherwise only their inputs: the outputs stay fp32, which saves one rounding per product.
    """
    logging.getLogger().setLevel(logging.ERROR)  # the quantiser logs advice to the root logger
    inputs_only = {} if recipe.outputs else {"OpTypesToExcludeOutputQuantization": QUANTISED}
    min_max = recipe.method == CalibrationMethod.MinMax
    with contextlib.redirect_stdout(io.StringIO()):  # it prints the settings of its histograms
        quantize_static(
            str(graph),
            str(out),
            _Comments(calibration if min_max else _of_one_length(calibration)),
            op_types_to_quantize=QUANTISED,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_products_without_weights(graph),
            calibrate_method=recipe.method,
            extra_options=inputs_only | recipe.options,
        )


def _of_one_length(rows: Rows) -> Rows:
    """The longer half of the rows, truncated to one length: histograms need activations of one shape."""
    width = int(np.median([len(row) for row in rows]))
    return [row[:width] for row in rows if len(row) >= width]


def _products_without_weights(graph: Path) -> list[str]:
    """Names of the products of two activations, as in attention, whose accuracy suffers in int8."""
    model = onnx.load(graph).graph
    weights = {tensor.name for tensor in model.initializer}
    return [node.name for node in model.node if node.op_type == "MatMul" and node.input[1] not in weights]


def _openvino_variants(reference: Path, calibration: Rows, hidden: int) -> list[Variant]:
    static, weights = reference.with_name("openvino-static.xml"), reference.with_name("openvino-weights.xml")
    quantise_smoothly(reference, static, calibration)
    compress_weights(reference, weights)
    bf16 = {"INFERENCE_PRECISION_HINT": "bf16"}
    return [
        _openvino_variant("static int8", "NNCF with SmoothQuant, bf16 for the rest", static, bf16),
        _openvino_variant(
            "dynamic int8 per token",
            f"int8 weights, activations scaled per token in groups of {hidden}",
            weights,
            {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(hidden)},
        ),
    ]


def _openvino_variant(name: str, description: str, graph: Path, options: dict[str, str]) -> Variant:
    size = graph.stat().st_size + graph.with_suffix(".bin").stat().st_size
    return Variant(
        "OpenVINO", name, "int8", description, size, partial(OpenVinoEngine, graph, options), available_cores()
    )

"""ONNX graphs of an encoder: exported by optimum, then optimised, quantised and halved with ONNX Runtime's tools."""

import logging
import shutil
import warnings
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.optimizer import optimize_model
from optimum.exporters.onnx import onnx_export_from_model
from optimum.exporters.onnx.model_configs import BertOnnxConfig
from optimum.exporters.tasks import TasksManager
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from commentwise.fileio import read_json
from commentwise.models.graphs.storage import is_large, move_graph, repack, save_graph

TASK = "text-classification"
SIGNATURE = ("input_ids", "attention_mask")


def export_encoder(folder: Path, out: Path) -> None:
    """Export an encoder saved by transformers in `folder` as an fp32 graph `input_ids, attention_mask -> logits`."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    base = _export_config(model)

    class Config(base):  # type: ignore[misc, valid-type]
        """The export configuration of the architecture, without token types: a comment is one segment."""

        @property
        def inputs(self) -> dict[str, dict[int, str]]:
            return {name: axes for name, axes in super().inputs.items() if name in SIGNATURE}

    scratch = out.parent / "export"
    logging.getLogger("optimum").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns about intended constants
        onnx_export_from_model(
            model,
            scratch,
            task=TASK,
            custom_onnx_configs={"model": Config(model.config, task=TASK)},
            device="cpu",
            do_validation=False,  # the check before training and the stage export compare logits
        )
    move_graph(scratch / "model.onnx", out)
    shutil.rmtree(scratch)


def _export_config(model: PreTrainedModel) -> Any:
    """The class of the export configuration of an architecture; that of BERT where optimum knows none.

    It differs in the inputs, of which only SIGNATURE is used, and in the opset.
    """
    try:
        make = TasksManager.get_exporter_config_constructor("onnx", model=model, task=TASK, library_name="transformers")
        return type(make(model.config))
    except (KeyError, ValueError):
        return BertOnnxConfig


def attention_shape(folder: Path) -> tuple[int, int]:
    """Attention heads and hidden size of the encoder in `folder`; 0 if its configuration lacks them."""
    config = read_json(folder / "config.json")
    heads = config.get("num_attention_heads") or config.get("n_heads") or 0
    hidden = config.get("hidden_size") or config.get("dim") or 0
    return heads, hidden


def optimise(graph: Path, out: Path, heads: int, hidden: int) -> None:
    """Fuse attention, layer normalisation and GELU with ONNX Runtime's transformer optimiser; weights stay fp32."""
    logging.getLogger("onnxruntime.transformers").setLevel(logging.ERROR)
    fused = optimize_model(str(graph), model_type="bert", num_heads=heads, hidden_size=hidden, opt_level=0)
    large = is_large(graph)
    fused.save_model_to_file(str(out), use_external_data_format=large)
    if large:
        repack(out)


def quantise(graph: Path, out: Path) -> None:
    """Quantise dynamically to int8: weights per channel, activations with a scale computed at run time.

    All comments of a run share that scale, so results depend on the batch: run comments one by one.
    """
    logging.getLogger().setLevel(logging.ERROR)  # the quantiser logs advice on the root logger
    large = is_large(graph)
    quantize_dynamic(
        str(graph),
        str(out),
        per_channel=True,
        op_types_to_quantize=["MatMul", "Attention", "Gemm", "Gather", "EmbedLayerNormalization"],
        use_external_data_format=large,
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )
    if large:
        repack(out)


def halve(graph: Path, out: Path) -> None:
    """Convert weights and arithmetic to fp16, for GPUs; inputs and logits keep their types."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that tiny weights are clipped to the smallest fp16 number
        # By its path: graphs over 2 GB cannot be converted in memory.
        save_graph(convert_float_to_float16(str(graph), keep_io_types=True), out)

"""Two classifiers as one ONNX graph: a linear model answers confident comments, an encoder the rest.

The graph has the signature that every family shares, so a cascade runs wherever a bundle does. The result for a comment
does not depend on the other comments: in a batch the encoder runs if any comment needs it, and only those comments get
its logits.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, compose, helper, numpy_helper, version_converter

INPUTS = ("input_ids", "attention_mask")


def cascade_graph(
    linear: ModelProto, encoder: ModelProto, linear_temperature: float, temperature: float, threshold: float
) -> ModelProto:
    """Build one graph `input_ids, attention_mask -> logits` from a linear model and an encoder with that signature.

    The linear model answers if its max probability, calibrated with `linear_temperature`, is at least `threshold`.
    All logits are on the encoder's scale: dividing them by `temperature` calibrates both. The choice is ONNX's If
    operator (https://onnx.ai/onnx/operators/onnx__If.html), so the encoder costs nothing when no comment needs it.
    """
    operators = {entry.domain: entry.version for entry in encoder.opset_import}
    first = _prefixed(version_converter.convert_version(linear, operators[""]), "linear/")
    second = _prefixed(encoder, "encoder/")
    labels = linear.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    nodes = [
        *first.node,
        helper.make_node("Mul", ["linear/logits", "calibration"], ["calibrated"]),
        helper.make_node("Softmax", ["calibrated"], ["probabilities"], axis=-1),
        helper.make_node(
            "TopK", ["probabilities", "one"], ["confidence", "label"], axis=-1
        ),  # ReduceMax differs between opsets
        helper.make_node("GreaterOrEqual", ["confidence", "threshold"], ["sure"]),
        helper.make_node("ReduceMin", ["confidence"], ["min_confidence"], keepdims=0),
        helper.make_node("GreaterOrEqual", ["min_confidence", "threshold"], ["all_sure"]),
        helper.make_node("Mul", ["calibrated", "scale"], ["linear_logits"]),
        helper.make_node(
            "If",
            ["all_sure"],
            ["logits"],
            then_branch=_branch([helper.make_node("Identity", ["linear_logits"], ["sure_logits"])], [], labels),
            else_branch=_branch(
                [*second.node, helper.make_node("Where", ["sure", "linear_logits", "encoder/logits"], ["all_logits"])],
                second.initializer,
                labels,
            ),
        ),
    ]
    constants: dict[str, NDArray[Any]] = {
        "calibration": np.array(1 / linear_temperature, dtype=np.float32),
        "one": np.array([1], dtype=np.int64),
        "threshold": np.array(threshold, dtype=np.float32),
        "scale": np.array(temperature, dtype=np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "cascade",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in INPUTS],
        [_logits("logits", labels)],
        [*first.initializer, *(numpy_helper.from_array(value, name) for name, value in constants.items())],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in operators.items()]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="commentwise")
    model.ir_version = linear.ir_version
    return model


def _prefixed(model: ModelProto, prefix: str) -> GraphProto:
    """The graph of a model with `prefix` before all its names except the inputs."""
    return compose.add_prefix(model, prefix, rename_nodes=False, rename_inputs=False).graph


def _branch(nodes: list[NodeProto], weights: Any, labels: int) -> GraphProto:
    output = nodes[-1].output[0]
    return helper.make_graph(nodes, output, [], [_logits(output, labels)], weights)


def _logits(name: str, labels: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", labels])

"""Two classifiers as one ONNX graph: the linear one answers what it is sure of, the encoder the rest.

The graph has the signature that every family shares, so whatever runs a bundle runs a cascade too. A comment's answer
depends on itself alone: in a batch the encoder runs once any comment needs it, and only comments that need it get its
answer.
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
    """Build one graph `input_ids, attention_mask -> logits` of a linear model and an encoder of that signature.

    The linear model answers when its highest probability, calibrated with `linear_temperature`, is at least
    `threshold`. All logits come out on the encoder's scale: dividing them by `temperature` calibrates both.
    The choice is ONNX's If operator (https://onnx.ai/onnx/operators/onnx__If.html), so the encoder costs nothing
    where it is not asked.
    """
    operators = {entry.domain: entry.version for entry in encoder.opset_import}
    first = _apart(version_converter.convert_version(linear, operators[""]), "linear/")
    second = _apart(encoder, "encoder/")
    labels = linear.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    nodes = [
        *first.node,
        helper.make_node("Mul", ["linear/logits", "calibration"], ["calibrated"]),
        helper.make_node("Softmax", ["calibrated"], ["probabilities"], axis=-1),
        helper.make_node(
            "TopK", ["probabilities", "one"], ["confidence", "surest"], axis=-1
        ),  # the same in every opset
        helper.make_node("GreaterOrEqual", ["confidence", "threshold"], ["sure"]),
        helper.make_node("ReduceMin", ["confidence"], ["least_confidence"], keepdims=0),
        helper.make_node("GreaterOrEqual", ["least_confidence", "threshold"], ["all_sure"]),
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


def _apart(model: ModelProto, prefix: str) -> GraphProto:
    """The model's graph with names of its own, but for what goes in."""
    return compose.add_prefix(model, prefix, rename_nodes=False, rename_inputs=False).graph


def _branch(nodes: list[NodeProto], weights: Any, labels: int) -> GraphProto:
    output = nodes[-1].output[0]
    return helper.make_graph(nodes, output, [], [_logits(output, labels)], weights)


def _logits(name: str, labels: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", labels])

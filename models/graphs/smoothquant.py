"""SmoothQuant for ONNX graphs: moves outliers of activations into the weights, which makes both easy to quantise.

Xiao et al. 2023, "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models". A few
channels of an encoder's activations are far larger than the rest, so a single int8 scale is too coarse for them.
Dividing each channel by a factor and multiplying the weights that read it by the same factor has no effect in fp32.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from commentwise.models.graphs.storage import save_graph

STRENGTH = 0.8
"""Migration strength, alpha in the paper: how much of the difficulty moves from activations to weights. Measured on
comments with MiniLM: 0.8 changes the fewest labels; the paper's 0.5 changes more than no smoothing at all."""

Row = Sequence[int]


def smooth(graph: Path, out: Path, calibration: Sequence[Row]) -> None:
    """Smooth every product of activations and weights in an fp32 graph, and write the result to `out`.

    Weights that are shared by products of different activations (ALBERT's layers) stay as they are, and so do these
    activations, since a weight can make up for one division only. `calibration` holds the token ids of comments; they give the max absolute value of each channel.
    """
    model = onnx.load(graph)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    readers: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in weights:
            readers.setdefault(node.input[0], []).append(node)
    uses = Counter(name for node in model.graph.node for name in node.input)
    readers = {
        activation: nodes for activation, nodes in readers.items() if all(uses[node.input[1]] == 1 for node in nodes)
    }
    with TemporaryDirectory(dir=out.parent) as scratch:
        max_values = _max_values(model, list(readers), calibration, Path(scratch) / "watched.onnx")
    for activation, nodes in readers.items():
        _smooth_one(model.graph, activation, nodes, weights, max_values[activation])
    save_graph(model, out)


def _max_values(
    model: onnx.ModelProto, names: list[str], calibration: Sequence[Row], scratch: Path
) -> dict[str, NDArray[np.float32]]:
    """The max absolute value per channel of each activation, shape (channels,), over all calibration comments.

    The graph is run from the file `scratch`, because a graph over 2 GB cannot be run from memory.
    """
    if not names:
        return {}
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    save_graph(watched, scratch)
    session = onnxruntime.InferenceSession(str(scratch), providers=["CPUExecutionProvider"])
    max_values: dict[str, NDArray[np.float32]] = {}
    for row in calibration:
        tokens = np.array([row], dtype=np.int64)
        for name, values in zip(
            names, session.run(names, {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}), strict=True
        ):
            row_max = np.abs(values).reshape(-1, values.shape[-1]).max(axis=0)
            max_values[name] = np.maximum(max_values.get(name, row_max), row_max)
    return max_values


def _smooth_one(
    graph: onnx.GraphProto,
    activation: str,
    nodes: list[NodeProto],
    weights: dict[str, TensorProto],
    max_values: NDArray[np.float32],
) -> None:
    matrices = [numpy_helper.to_array(weights[node.input[1]]) for node in nodes]
    rows = np.max([np.abs(matrix).max(axis=1) for matrix in matrices], axis=0)
    factors = (np.maximum(max_values, 1e-5) ** STRENGTH / np.maximum(rows, 1e-5) ** (1 - STRENGTH)).astype(np.float32)
    divided, divisor = f"{activation}_smoothed", f"{activation}_smoothing"
    graph.initializer.append(numpy_helper.from_array(1 / factors, divisor))
    division = helper.make_node("Mul", [activation, divisor], [divided], name=divided)
    graph.node.insert(min(list(graph.node).index(node) for node in nodes), division)
    for node, matrix in zip(nodes, matrices, strict=True):
        weights[node.input[1]].CopyFrom(numpy_helper.from_array(matrix * factors[:, None], node.input[1]))
        node.input[0] = divided

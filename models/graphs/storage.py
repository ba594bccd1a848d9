"""Files of ONNX graphs. A protobuf message holds at most 2 GB, so larger weights go to a second file beside the graph."""

from pathlib import Path

import onnx
from onnx import ModelProto, StringStringEntryProto, TensorProto
from onnx.external_data_helper import uses_external_data

from commentwise.models.bundle import data_file

MAX_BYTES = 2**31 - 2**24
"""Weights above this are external; protobuf's limit is 2**31 - 1, and the graph itself needs some room."""


def save_graph(model: ModelProto, out: Path) -> None:
    """Save a graph with its weights, in `data_file(out)` if they are too large for one file.

    Weights that the model has as external data must have been loaded, as `onnx.load` does.
    """
    data_file(out).unlink(missing_ok=True)  # onnx would append to it
    if sum(len(tensor.raw_data) for tensor in _weights(model)) > MAX_BYTES:
        onnx.save(model, out, save_as_external_data=True, location=data_file(out).name, size_threshold=1024)
    else:
        onnx.save(model, out)


def move_graph(graph: Path, out: Path) -> None:
    """Move a graph, and its external data if it has any, to `out` and `data_file(out)`, without loading the data.

    Raises ValueError if the data are in several files.
    """
    model = onnx.load(graph, load_external_data=False)
    locations = _locations(model)
    files = {entry.value for entry in locations}
    if not files:
        graph.rename(out)
        return
    if len(files) > 1:
        raise ValueError(f"{graph} has its weights in {len(files)} files, not in one")
    (graph.parent / files.pop()).rename(data_file(out))
    for entry in locations:
        entry.value = data_file(out).name
    onnx.save(model, out)
    graph.unlink()


def is_large(graph: Path) -> bool:
    """True if the weights of a saved graph are in a second file."""
    return bool(_locations(onnx.load(graph, load_external_data=False)))


def repack(graph: Path) -> None:
    """Save a graph again whose weights ONNX Runtime's tools wrote to a file with a name of their own."""
    model = onnx.load(graph)
    for name in {entry.value for entry in _locations(onnx.load(graph, load_external_data=False))}:
        (graph.parent / name).unlink()
    save_graph(model, graph)


def _locations(model: ModelProto) -> list[StringStringEntryProto]:
    """The entries that name the file of external weights."""
    external = [tensor for tensor in _weights(model) if uses_external_data(tensor)]
    return [entry for tensor in external for entry in tensor.external_data if entry.key == "location"]


def _weights(model: ModelProto) -> list[TensorProto]:
    """The initializers and constants of a model and of the branches of its nodes."""
    graphs, weights = [model.graph], list[TensorProto]()
    while graphs:
        graph = graphs.pop()
        attributes = [attribute for node in graph.node for attribute in node.attribute]
        weights += [*graph.initializer, *(attribute.t for attribute in attributes if attribute.HasField("t"))]
        graphs += [attribute.g for attribute in attributes if attribute.HasField("g")]
    return weights

"""The parts that the words of a comment have in the logits of a linear graph.

Logits of TF-IDF features are not linear in the words, because the features are divided by their norm. With the norm of
the whole comment as a constant they are: every n-gram adds its weight, wherever it stands. So the part of a word is the
difference that it makes to the logits of what stands before it, all divided by the norm of the whole. An n-gram across
words then counts for its last word; from the other side, for its first. The mean of both shares it between the two.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from commentwise.models.engine import padded

ROWS_AT_ONCE = 32
"""Rows of a run: each has a float per feature."""
_LINEAR = {"Add", "Concat", "Div", "Gemm", "Identity", "MatMul", "Sum"}
"""Operators that are linear in the features, if divisors are constant."""
_FEATURES = "TfIdfVectorizer"


class LinearParts:
    """A linear graph, with the norms of its features as outputs and, in a second form, as inputs."""

    def __init__(self, model: ModelProto, norms: Sequence[str]) -> None:
        """`norms` are the names of the graph's divisors, as `of` finds them."""
        self._norms = {name: f"{name}/constant" for name in norms}
        given = ModelProto()
        given.CopyFrom(model)
        for node in given.graph.node:
            if node.op_type == "Div" and node.input[1] in self._norms:
                node.input[1] = self._norms[node.input[1]]
        given.graph.input.extend(_floats(name) for name in self._norms.values())
        model.graph.output.extend(_floats(name) for name in self._norms)
        self._measured = _session(model)
        self._given = _session(given)

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """The graph at `path`; None if it is not linear."""
        model = onnx.load(path, load_external_data=False)
        norms = _norms(model)
        return None if norms is None else cls(model, norms)

    def parts(
        self, row: Sequence[int], units: Sequence[Sequence[int]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The parts of the logits of a row of token ids, shape (units, labels), and the bias, shape (labels,).

        `units` are the positions of their tokens in the row, in order; tokens between them count for a neighbour. Parts
        and bias add up to the logits.
        """
        norms = dict(zip(self._norms.values(), self._measured.run(list(self._norms), padded([row])), strict=True))
        # `row` itself is added so that an empty row gets padding.
        # The places between the units, from before the first to after the last.
        places = [0, *(max(tokens) + 1 for tokens in units[:-1]), len(row)] if units else [0]
        before = self._logits([row[:place] for place in places] + [row], norms)[:-1]
        places = [0, *(min(tokens) for tokens in units[1:]), len(row)] if units else [0]
        after = self._logits([row[place:] for place in places] + [row], norms)[:-1]
        return (np.diff(before, axis=0) - np.diff(after, axis=0)) / 2, before[0]

    def _logits(self, rows: Sequence[Sequence[int]], norms: dict[str, NDArray[np.float32]]) -> NDArray[np.float64]:
        """Logits of shape (rows, labels) with these norms; an empty row has no features."""
        batches = [rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE)]
        return np.concatenate([self._given.run(["logits"], padded(batch) | norms)[0] for batch in batches]).astype(
            np.float64
        )


def _norms(model: ModelProto) -> list[str] | None:
    """The divisors of the features on the way to the logits; None if the graph is not linear in its features."""
    made = {name: node for node in model.graph.node for name in node.output}
    norms: list[str] = []
    pending, has_features = ["logits"], False
    while pending:
        node = made.get(pending.pop())
        if node is None:
            continue  # an input or a constant
        if node.op_type == _FEATURES:
            has_features = True
        elif node.op_type not in _LINEAR:
            return None
        elif node.op_type == "Div":
            pending.append(node.input[0])
            norms += [node.input[1]] if node.input[1] in made else []
        else:
            pending += node.input
    return norms if has_features else None


def _floats(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


def _session(model: ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

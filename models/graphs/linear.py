"""A linear classifier over token n-grams as an ONNX graph with the signature that every family shares."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


def linear_graph(
    ngrams: Sequence[tuple[int, ...]],
    idf: NDArray[np.floating],
    coefficients: NDArray[np.floating],
    intercept: NDArray[np.floating],
) -> onnx.ModelProto:
    """Build `input_ids, attention_mask -> logits` for TF-IDF features with L2-normalised rows.

    `ngrams[i]` are the token ids of feature i, `idf` has shape (features,), `coefficients` (labels, features) and
    `intercept` (labels,). N-grams are counted by ONNX's TfIdfVectorizer operator
    (https://onnx.ai/onnx/operators/onnx__TfIdfVectorizer.html).
    """
    order = sorted(range(len(ngrams)), key=lambda index: (len(ngrams[index]), ngrams[index]))
    max_length = len(ngrams[order[-1]])
    pool = [token for index in order for token in ngrams[index]]
    # ngram_counts[n-1] is the offset of the n-grams of length n in the pool.
    starts = [sum(len(gram) for gram in ngrams if len(gram) < size) for size in range(1, max_length + 1)]
    constants: dict[str, NDArray[Any]] = {
        "padding": np.array(-1, dtype=np.int64),
        "zero": np.array(0, dtype=np.int64),
        "coefficients": coefficients.T.astype(np.float32),
        "intercept": intercept.astype(np.float32),
        "epsilon": np.array(1e-12, dtype=np.float32),
    }
    nodes = [
        # Padding becomes an id that is in no n-gram, so that a batch gives the same counts as single comments.
        helper.make_node("Greater", ["attention_mask", "zero"], ["is_token"]),
        helper.make_node("Where", ["is_token", "input_ids", "padding"], ["tokens"]),
        helper.make_node(
            "TfIdfVectorizer",
            ["tokens"],
            ["tfidf"],
            mode="TFIDF",
            min_gram_length=1,
            max_gram_length=max_length,
            max_skip_count=0,
            ngram_counts=starts,
            ngram_indexes=order,
            pool_int64s=pool,
            weights=[float(idf[index]) for index in order],
        ),
        # A comment without known n-grams has norm 0: its logits are the intercept.
        helper.make_node("ReduceL2", ["tfidf"], ["norm"], axes=[1], keepdims=1),
        helper.make_node("Max", ["norm", "epsilon"], ["divisor"]),
        helper.make_node("MatMul", ["tfidf", "coefficients"], ["weighted"]),
        helper.make_node("Div", ["weighted", "divisor"], ["scaled"]),
        helper.make_node("Add", ["scaled", "intercept"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(intercept)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="commentwise")
    model.ir_version = 10  # the newest that every supported ONNX Runtime reads
    onnx.checker.check_model(model)
    return model

"""A linear classifier over token and character n-grams as an ONNX graph with the signature that every family shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

OPSET = 17


@dataclass(frozen=True)
class Characters:
    """TF-IDF features of character n-grams."""

    spelling: NDArray[np.unsignedinteger]
    """The code points of each token, filled with zeros: shape (vocabulary, longest token)."""
    ngrams: Sequence[tuple[int, ...]]
    """`ngrams[i]` are the code points of feature i."""
    idf: NDArray[np.floating]
    """Shape (features,)."""
    coefficients: NDArray[np.floating]
    """Shape (labels, features)."""


def spelling_table(spellings: Sequence[str]) -> NDArray[np.unsignedinteger]:
    """`Characters.spelling` for a vocabulary: `spellings[i]` are the characters of token i.

    >>> spelling_table(["", "ab"]).tolist()
    [[0, 0], [97, 98]]
    """
    highest = max((ord(character) for text in spellings for character in text), default=0)
    width = max((len(text) for text in spellings), default=0)
    rows = [[ord(character) for character in text.ljust(width, "\0")] for text in spellings]
    return np.array(rows, dtype=np.min_scalar_type(highest))


def linear_graph(
    ngrams: Sequence[tuple[int, ...]],
    idf: NDArray[np.floating],
    coefficients: NDArray[np.floating],
    intercept: NDArray[np.floating],
    characters: Characters | None = None,
) -> onnx.ModelProto:
    """Build `input_ids, attention_mask -> logits` for TF-IDF features of tokens and, if given, of characters.

    `ngrams[i]` are the token ids of feature i, `idf` has shape (features,), `coefficients` (labels, features) and
    `intercept` (labels,). The features of a comment are L2-normalised, those of its characters for themselves. N-grams are
    counted by ONNX's TfIdfVectorizer operator (https://onnx.ai/onnx/operators/onnx__TfIdfVectorizer.html).
    """
    constants: dict[str, NDArray[Any]] = {
        "padding": np.array(-1, dtype=np.int64),
        "zero": np.array(0, dtype=np.int64),
        "intercept": intercept.astype(np.float32),
        "epsilon": np.array(1e-12, dtype=np.float32),
    }
    nodes = [
        # Padding becomes an id that is in no n-gram, so that a batch gives the same counts as single comments.
        helper.make_node("Greater", ["attention_mask", "zero"], ["is_token"]),
        helper.make_node("Where", ["is_token", "input_ids", "padding"], ["tokens"]),
        *_scores("tokens", ngrams, idf, coefficients, constants),
    ]
    scores = "tokens_scores"
    if characters is not None:
        nodes += [
            *_spelled(characters.spelling, constants),
            *_scores("characters", characters.ngrams, characters.idf, characters.coefficients, constants),
            helper.make_node("Add", ["tokens_scores", "characters_scores"], ["scores"]),
        ]
        scores = "scores"
    nodes.append(helper.make_node("Add", [scores, "intercept"], ["logits"]))
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


def _scores(
    name: str,
    ngrams: Sequence[tuple[int, ...]],
    idf: NDArray[np.floating],
    coefficients: NDArray[np.floating],
    constants: dict[str, NDArray[Any]],
) -> list[NodeProto]:
    """Nodes from the integers `name`, shape (batch, length), to their part of the logits, `name`_scores."""
    order = sorted(range(len(ngrams)), key=lambda index: (len(ngrams[index]), ngrams[index]))
    max_length = len(ngrams[order[-1]])
    lengths = np.bincount([len(ngram) for ngram in ngrams], minlength=max_length + 1)
    constants[f"{name}_coefficients"] = coefficients.T.astype(np.float32)
    return [
        helper.make_node(
            "TfIdfVectorizer",
            [name],
            [f"{name}_tfidf"],
            mode="TFIDF",
            min_gram_length=1,
            max_gram_length=max_length,
            max_skip_count=0,
            # ngram_counts[n-1] is the offset of the n-grams of length n in the pool.
            ngram_counts=np.cumsum(np.arange(max_length) * lengths[:-1]).tolist(),
            ngram_indexes=order,
            pool_int64s=[unit for index in order for unit in ngrams[index]],
            weights=[float(idf[index]) for index in order],
        ),
        # A comment without known n-grams has norm 0: its share is 0.
        helper.make_node("ReduceL2", [f"{name}_tfidf"], [f"{name}_norm"], axes=[1], keepdims=1),
        helper.make_node("Max", [f"{name}_norm", "epsilon"], [f"{name}_divisor"]),
        helper.make_node("MatMul", [f"{name}_tfidf", f"{name}_coefficients"], [f"{name}_weighted"]),
        helper.make_node("Div", [f"{name}_weighted", f"{name}_divisor"], [f"{name}_scores"]),
    ]


def _spelled(spelling: NDArray[np.unsignedinteger], constants: dict[str, NDArray[Any]]) -> list[NodeProto]:
    """Nodes from `tokens` to `characters`: the code points of each comment in one row, without gaps.

    Zeros stand before and after them, and are in no n-gram.
    """
    # Padding, -1, selects the last row, which spells nothing. The last column keeps column 0 of the result free.
    constants["spelling"] = np.pad(spelling, ((0, 1), (0, 1)))
    constants["row"] = np.array([0, -1], dtype=np.int64)
    constants["one"] = np.array(1, dtype=np.int64)
    return [
        helper.make_node("Gather", ["spelling", "tokens"], ["spelled"]),  # (batch, tokens, longest token)
        helper.make_node("Cast", ["spelled"], ["spelled_int64"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["spelled_int64", "row"], ["sparse"]),
        # Character i of a comment moves to column i; the zeros between the characters to column 0.
        helper.make_node("Min", ["sparse", "one"], ["is_character"]),
        helper.make_node("CumSum", ["is_character", "one"], ["position"]),
        helper.make_node("Mul", ["position", "is_character"], ["column"]),
        helper.make_node("Sub", ["sparse", "sparse"], ["empty"]),
        helper.make_node("ScatterElements", ["empty", "column", "sparse"], ["characters"], axis=1),
    ]

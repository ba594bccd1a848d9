"""What is read out of the texts themselves."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from commentwise.errors import CommentwiseError
from commentwise.monitoring.signals.texts import Embedder, tell_apart
from tests.tiny import GRAPH, write_tiny_manifest

WORDS = [f"{first}{last}" for first in "bcdfgklmnprst" for last in ("ad", "ell", "ing", "ope", "um")]


def comments(rng: np.random.Generator, count: int, *more: str) -> list[str]:
    return [" ".join([*rng.choice(WORDS, 8), *more]) for _ in range(count)]


def test_other_words_are_told_apart_and_named() -> None:
    rng = np.random.default_rng(0)
    told = tell_apart([*comments(rng, 30), *comments(rng, 30, "dividend")], comments(rng, 300))
    assert told.auc.statistic > 0.7
    assert told.auc.p_value < 0.001
    assert told.words[0] == "dividend"


def test_the_same_kind_of_comments_is_not_told_apart_more_often_than_stated() -> None:
    rng = np.random.default_rng(1)
    reference = comments(rng, 300)
    found = [tell_apart(comments(rng, 60), reference).auc.p_value for _ in range(40)]
    assert sum(p_value <= 0.05 for p_value in found) <= 5  # 2 expected; 6 or more would be a chance of 1%


def test_an_embedding_is_what_the_last_layer_sees(tiny_bundle: Path) -> None:
    vectors = Embedder(tiny_bundle).embed(["a good video", "a good video", "bad"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1)
    np.testing.assert_allclose(vectors[0], vectors[1])
    assert vectors[0] @ vectors[2] < 0.9


def test_a_graph_without_a_last_layer_is_said_so(bundle_copy: Path) -> None:
    graph = onnx.load(bundle_copy / GRAPH)
    kept = [node for node in graph.graph.node if node.op_type not in ("Gemm", "MatMul")]
    del graph.graph.node[:]
    graph.graph.node.extend(kept)
    onnx.save(graph, bundle_copy / GRAPH)
    write_tiny_manifest(bundle_copy)
    with pytest.raises(CommentwiseError, match="ends in no matrix product"):
        Embedder(bundle_copy)

"""A cascade of a linear model and an encoder: which of them answers, and that batches do not matter."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from commentwise.models.engine import Engine
from commentwise.models.graphs.cascade import cascade_graph
from commentwise.models.probabilities import softmax
from tests.tiny import TEMPERATURE, VOCABULARY, tiny_graph

LINEAR_TEMPERATURE = 2.0
CONFIDENT, UNCERTAIN = "good good great", "a video"


def rows(*texts: str) -> list[list[int]]:
    return [[VOCABULARY[word] for word in text.split()] for text in texts]


def failing(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with a node that fails on every comment."""
    (last,) = (node for node in graph.graph.node if "logits" in node.output)
    last.output[0] = "unreshaped"
    graph.graph.initializer.append(numpy_helper.from_array(np.array([1], dtype=np.int64), "vector"))
    graph.graph.node.extend(
        [
            helper.make_node("ReduceSum", ["input_ids"], ["sum"], keepdims=0),
            helper.make_node("Reshape", ["sum", "vector"], ["width"]),
            helper.make_node("Concat", ["width", "width"], ["impossible"], axis=0),
            helper.make_node("Reshape", ["unreshaped", "impossible"], ["logits"]),
        ]
    )
    return graph


def saved(folder: Path, encoder: onnx.ModelProto, threshold: float = 0.8) -> Path:
    graph = cascade_graph(tiny_graph(), encoder, LINEAR_TEMPERATURE, TEMPERATURE, threshold)
    onnx.save(graph, folder / "cascade.onnx")
    return folder / "cascade.onnx"


def logits(graph: Path, *texts: str) -> np.ndarray:
    with Engine(graph) as engine:
        return np.asarray(engine.batch_logits(rows(*texts)))


@pytest.fixture
def opposed(tmp_path: Path) -> Path:
    """A cascade whose encoder gives the opposite labels, which shows which model answered."""
    return saved(tmp_path, tiny_graph(-6.0))


def single(folder: Path, graph: onnx.ModelProto, text: str) -> np.ndarray:
    onnx.save(graph, folder / "single.onnx")
    return np.asarray(logits(folder / "single.onnx", text)[0])


def test_the_linear_model_answers_confident_comments(opposed: Path, tmp_path: Path) -> None:
    linear = softmax(single(tmp_path, tiny_graph(), CONFIDENT), LINEAR_TEMPERATURE)
    assert linear.max() >= 0.8
    np.testing.assert_allclose(softmax(logits(opposed, CONFIDENT)[0], TEMPERATURE), linear, atol=1e-6)


def test_the_encoder_answers_the_rest(opposed: Path, tmp_path: Path) -> None:
    assert softmax(single(tmp_path, tiny_graph(), UNCERTAIN), LINEAR_TEMPERATURE).max() < 0.8
    np.testing.assert_allclose(logits(opposed, UNCERTAIN)[0], single(tmp_path, tiny_graph(-6.0), UNCERTAIN), atol=1e-6)


def test_no_result_depends_on_the_other_comments_of_a_batch(opposed: Path) -> None:
    texts = [CONFIDENT, UNCERTAIN, "bad bad hate", "good bad", "the video is great", UNCERTAIN]
    alone = np.concatenate([logits(opposed, text) for text in texts])
    np.testing.assert_allclose(logits(opposed, *texts), alone, atol=1e-6)


def test_the_encoder_does_not_run_for_confident_comments(tmp_path: Path) -> None:
    graph = saved(tmp_path, failing(tiny_graph()))
    assert logits(graph, CONFIDENT, "bad bad hate").shape == (2, 3)
    with pytest.raises(Exception, match="Reshape"):
        logits(graph, UNCERTAIN)

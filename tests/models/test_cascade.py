"""A linear model before an encoder: who answers what, at which cost, and that neighbours do not matter."""

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
SURE, UNSURE = "good good great", "a video"


def rows(*texts: str) -> list[list[int]]:
    return [[VOCABULARY[word] for word in text.split()] for text in texts]


def failing(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with a step in it that no comment survives."""
    (last,) = (node for node in graph.graph.node if "logits" in node.output)
    last.output[0] = "sound"
    graph.graph.initializer.append(numpy_helper.from_array(np.array([1], dtype=np.int64), "vector"))
    graph.graph.node.extend(
        [
            helper.make_node("ReduceSum", ["input_ids"], ["sum"], keepdims=0),
            helper.make_node("Reshape", ["sum", "vector"], ["width"]),
            helper.make_node("Concat", ["width", "width"], ["impossible"], axis=0),
            helper.make_node("Reshape", ["sound", "impossible"], ["logits"]),
        ]
    )
    return graph


def saved(folder: Path, encoder: onnx.ModelProto, threshold: float = 0.8) -> Path:
    graph = cascade_graph(tiny_graph(), encoder, LINEAR_TEMPERATURE, TEMPERATURE, threshold)
    onnx.save(graph, folder / "cascade.onnx")
    return folder / "cascade.onnx"


def answers(graph: Path, *texts: str) -> np.ndarray:
    with Engine(graph) as engine:
        return np.asarray(engine.batch_logits(rows(*texts)))


@pytest.fixture
def contrary(tmp_path: Path) -> Path:
    """A cascade before an encoder that is mistaken about every opinion, which shows who answered."""
    return saved(tmp_path, tiny_graph(-6.0))


def single(folder: Path, graph: onnx.ModelProto, text: str) -> np.ndarray:
    onnx.save(graph, folder / "single.onnx")
    return np.asarray(answers(folder / "single.onnx", text)[0])


def test_the_linear_model_answers_what_it_is_sure_of(contrary: Path, tmp_path: Path) -> None:
    linear = softmax(single(tmp_path, tiny_graph(), SURE), LINEAR_TEMPERATURE)
    assert linear.max() >= 0.8
    np.testing.assert_allclose(softmax(answers(contrary, SURE)[0], TEMPERATURE), linear, atol=1e-6)


def test_the_encoder_answers_the_rest(contrary: Path, tmp_path: Path) -> None:
    assert softmax(single(tmp_path, tiny_graph(), UNSURE), LINEAR_TEMPERATURE).max() < 0.8
    np.testing.assert_allclose(answers(contrary, UNSURE)[0], single(tmp_path, tiny_graph(-6.0), UNSURE), atol=1e-6)


def test_no_answer_depends_on_its_neighbours(contrary: Path) -> None:
    texts = [SURE, UNSURE, "bad bad hate", "good bad", "the video is great", UNSURE]
    alone = np.concatenate([answers(contrary, text) for text in texts])
    np.testing.assert_allclose(answers(contrary, *texts), alone, atol=1e-6)


def test_the_encoder_is_not_run_for_what_is_sure(tmp_path: Path) -> None:
    graph = saved(tmp_path, failing(tiny_graph()))
    assert answers(graph, SURE, "bad bad hate").shape == (2, 3)
    with pytest.raises(Exception, match="Reshape"):
        answers(graph, UNSURE)

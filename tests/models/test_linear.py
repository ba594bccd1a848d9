"""The linear graph gives the logits of scikit-learn, for single comments and in padded batches."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from commentwise.errors import CommentwiseError
from commentwise.models.engine import Engine
from commentwise.models.graphs.linear import linear_graph

ROWS = [[5, 6, 7, 5], [8, 9], [6, 7, 8, 8, 9, 1], [5, 5, 5, 6], [9, 9, 6, 7, 5, 8, 1]]
TARGETS = [0, 1, 2, 0, 1]


def fitted(ngrams: int) -> tuple[TfidfVectorizer, LogisticRegression, list[tuple[int, ...]]]:
    documents = [" ".join(map(str, row)) for row in ROWS]
    features = TfidfVectorizer(tokenizer=str.split, token_pattern=None, lowercase=False, ngram_range=(1, ngrams))
    classifier = LogisticRegression().fit(features.fit_transform(documents), TARGETS)
    return features, classifier, [tuple(map(int, name.split())) for name in features.get_feature_names_out()]


@pytest.mark.parametrize("ngrams", [1, 2, 3])
def test_logits_are_those_of_scikit_learn(tmp_path: Path, ngrams: int) -> None:
    features, classifier, names = fitted(ngrams)
    onnx.save(linear_graph(names, features.idf_, classifier.coef_, classifier.intercept_), tmp_path / "model.onnx")
    unseen = [[7, 5, 77], [77, 78, 79, 80]]  # the last one has no known n-gram
    rows = ROWS + unseen
    expected = classifier.decision_function(features.transform([" ".join(map(str, row)) for row in rows]))
    with Engine(tmp_path / "model.onnx") as engine:
        np.testing.assert_allclose(engine.logits(rows), expected, atol=1e-5)
        # Padding must not count as a token, nor form n-grams with the tokens beside it.
        np.testing.assert_allclose(engine.batch_logits(rows), expected, atol=1e-5)


def test_an_engine_refuses_models_without_the_signature(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(CommentwiseError, match="is not a loadable ONNX model"):
        Engine(tmp_path / "model.onnx")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        "other",
        [value],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])],
    )
    onnx.save(
        onnx.helper.make_model(graph, ir_version=10, opset_imports=[onnx.helper.make_opsetid("", 17)]),
        tmp_path / "other.onnx",
    )
    with pytest.raises(CommentwiseError, match=r"takes \['x'\], not input_ids and attention_mask"):
        Engine(tmp_path / "other.onnx")


def test_a_missing_gpu_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError, match="device 'cuda' is not available"):
        Engine(tmp_path / "model.onnx", device="cuda")

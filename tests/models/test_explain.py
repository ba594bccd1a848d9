"""Explanations: exact parts are those of scikit-learn's coefficients; left-out words are those of the given text."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from commentwise import load
from commentwise.errors import CommentwiseError
from commentwise.models.bundle import Classifier
from commentwise.models.explain import Explanation
from commentwise.models.graphs.linear import linear_graph
from commentwise.models.graphs.parts import LinearParts
from tests.models.test_linear import ROWS, fitted
from tests.package.extras import run_with_extras
from tests.tiny import MAX_TOKENS, add_cascade, tiny_graph

TEXT = '  GOOD&nbsp;one <a href="https://x.org/y">bad</a> 😍 @ana great http://x.org/z'
WORDS = ["GOOD&nbsp;one", '<a href="https://x.org/y">bad</a>', "😍", "@ana", "great", "http://x.org/z"]


def words(explanation: Explanation) -> dict[str, float]:
    return {word.text: word.weight for word in explanation.words}


@pytest.mark.parametrize("ngrams", [1, 2, 3])
def test_exact_parts_are_the_weights_of_the_n_grams(tmp_path: Path, ngrams: int) -> None:
    features, classifier, names = fitted(ngrams)
    onnx.save(linear_graph(names, features.idf_, classifier.coef_, classifier.intercept_), tmp_path / "model.onnx")
    linear = LinearParts.of(tmp_path / "model.onnx")
    assert linear
    for row in [*ROWS, [7, 5, 77], [77, 78]]:
        parts, bias = linear.parts(row, [[position] for position in range(len(row))])
        np.testing.assert_allclose(bias, classifier.intercept_, atol=1e-6)
        values = features.transform([" ".join(map(str, row))]).toarray()[0]
        occurrences = [
            (start, names.index(gram))
            for size in range(1, ngrams + 1)
            for start in range(len(row) - size + 1)
            if (gram := tuple(row[start : start + size])) in names
        ]
        counts = Counter(index for _, index in occurrences)
        expected = np.zeros((len(row), len(classifier.classes_)))
        for start, index in occurrences:  # each shares its weight between its first and its last token
            share = classifier.coef_[:, index] * values[index] / counts[index] / 2
            expected[start] += share
            expected[start + len(names[index]) - 1] += share
        np.testing.assert_allclose(parts, expected, atol=1e-5)


def test_weights_and_bias_of_a_linear_bundle_add_up_to_the_logit(tiny_bundle: Path) -> None:
    classifier = Classifier(tiny_bundle)
    for text in (TEXT, "good", "the video", " ", "bad " * 2 * MAX_TOKENS):
        (logits,) = classifier.engine.logits([classifier.tokenizer.encode(classifier.manifest.normalize(text)).ids])
        for label, logit in zip(classifier.manifest.labels, logits, strict=True):
            found = classifier.explain(text, label)
            assert found.method == "exact"
            assert found.bias is not None
            assert sum(word.weight for word in found.words) + found.bias == pytest.approx(logit, abs=1e-5)
            assert found.probability == pytest.approx(classifier.predict([text])[0].probabilities[label])


def test_words_are_those_of_the_text_as_it_was_given(tiny_bundle: Path) -> None:
    found = Classifier(tiny_bundle).explain(TEXT)
    assert [word.text for word in found.words] == WORDS
    assert [TEXT[word.start : word.end] for word in found.words] == WORDS
    weights = words(Classifier(tiny_bundle).explain(TEXT, "negative"))
    assert weights.pop('<a href="https://x.org/y">bad</a>') > 1
    assert set(weights.values()) == {0.0}


def test_text_without_spaces_is_divided_by_the_tokenizer(tiny_bundle: Path) -> None:
    found = Classifier(tiny_bundle).explain("a 最高。good")
    assert [(word.text, word.start, word.end) for word in found.words] == [
        ("a", 0, 1),
        ("最高", 2, 4),
        ("。", 4, 5),
        ("good", 5, 9),
    ]


def test_words_beyond_the_maximum_are_left_out(tiny_bundle: Path) -> None:
    found = Classifier(tiny_bundle).explain("good " + "the " * MAX_TOKENS + "bad")
    assert [word.text for word in found.words] == ["good"] + ["the"] * (MAX_TOKENS - 3)


def test_other_graphs_are_explained_by_leaving_out_words(bundle_copy: Path) -> None:
    add_cascade(bundle_copy, threshold=0.0)
    classifier = Classifier(bundle_copy, cascade=True)
    found = classifier.explain("good bad GREAT", "positive")
    assert (found.method, found.bias) == ("leave-one-out", None)

    def log_odds(text: str) -> float:
        probability = classifier.predict([text])[0].probabilities["positive"]
        return math.log(probability / (1 - probability))

    expected = {
        word: log_odds("good bad GREAT") - log_odds(left)
        for word, left in {"good": "bad GREAT", "bad": "good GREAT", "GREAT": "good bad"}.items()
    }
    assert words(found) == pytest.approx(expected)
    assert expected["good"] > 0 > expected["bad"]


def test_without_onnx_words_are_left_out(tiny_bundle: Path, tmp_path: Path) -> None:
    code = f"import commentwise; print(commentwise.load({str(tiny_bundle)!r}).explain('a good video').method)"
    done = run_with_extras("model", code, tmp_path)
    assert done.stdout == "leave-one-out\n", done.stderr


def test_a_label_that_the_bundle_does_not_have(tiny_bundle: Path) -> None:
    with pytest.raises(CommentwiseError, match="has no label 'spam', only negative, neutral, positive"):
        load(tiny_bundle).explain("good", "spam")


def test_graphs_that_are_not_linear_in_their_features_are_refused(tmp_path: Path) -> None:
    graph = tiny_graph()
    (last,) = (node for node in graph.graph.node if "logits" in node.output)
    last.output[0] = "linear"
    graph.graph.node.append(onnx.helper.make_node("Tanh", ["linear"], ["logits"]))
    onnx.save(graph, tmp_path / "other.onnx")
    assert LinearParts.of(tmp_path / "other.onnx") is None

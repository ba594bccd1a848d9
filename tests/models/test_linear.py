"""The linear graph gives the logits of scikit-learn, for single comments and in padded batches.

Character n-grams are counted by scikit-learn in the text that the tokens spell.
"""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import version_converter
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer, models

from commentwise.errors import CommentwiseError
from commentwise.models.checkpoint import tokenizer_json
from commentwise.models.engine import Engine
from commentwise.models.graphs.linear import Characters, linear_graph, spelling_table
from commentwise.models.tokens import MAX_SPELLED, encode, spellings, tokenizer_from_text

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


TEXTS = [
    "what a great video, thank you so much!",
    "worst update ever",
    "unbelievableness of it all",
    "thanks for 100% nothing",
    "\u4f60\u597d is hello",
]
ADVERSARIAL = [
    "",
    "!",
    "\U0001f600\U0001f600 great",  # the tokenizer does not know emojis
    "\u0e17\u0e35\u0e48 xyz\u2603zy",
    "Donaudampfschifffahrtselektrizit\u00e4tenhauptbetriebswerkbauunterbeamtengesellschaft",
    "a" * 500,  # longer than the longest word that the tokenizer divides
    "thank you so much " * 50,  # longer than max_tokens
    "...!!!???",
    "gr8 vid\u00e9o, update it",
]


@pytest.mark.parametrize("opset", [17, 21])
def test_characters_are_those_that_the_tokens_spell(tmp_path: Path, opset: int) -> None:
    tokenizer = tokenizer_from_text(tokenizer_json("embedded"), 32)
    spelled = spellings(tokenizer)
    rows, unseen = encode(tokenizer, TEXTS), encode(tokenizer, ADVERSARIAL)
    assert max(map(len, unseen)) == 32
    tokens = TfidfVectorizer(tokenizer=str.split, token_pattern=None, lowercase=False, ngram_range=(1, 2))
    characters = TfidfVectorizer(analyzer="char", lowercase=False, ngram_range=(2, 4))

    def documents(rows: list[list[int]]) -> tuple[list[str], list[str]]:
        return [" ".join(map(str, row)) for row in rows], ["".join(spelled[token] for token in row) for row in rows]

    of_tokens, of_characters = documents(rows)
    features = hstack([tokens.fit_transform(of_tokens), characters.fit_transform(of_characters)], format="csr")
    classifier = LogisticRegression().fit(features, TARGETS)
    of_tokens, of_characters = documents(unseen)
    expected = classifier.decision_function(hstack([tokens.transform(of_tokens), characters.transform(of_characters)]))
    count = len(tokens.vocabulary_)
    graph = linear_graph(
        [tuple(map(int, name.split())) for name in tokens.get_feature_names_out()],
        tokens.idf_,
        classifier.coef_[:, :count],
        classifier.intercept_,
        Characters(
            spelling_table(spelled),
            [tuple(map(ord, name)) for name in characters.get_feature_names_out()],
            characters.idf_,
            classifier.coef_[:, count:],
        ),
    )
    # A cascade converts the linear model to the operator set of its encoder.
    onnx.save(version_converter.convert_version(graph, opset), tmp_path / "model.onnx")
    with Engine(tmp_path / "model.onnx") as engine:
        np.testing.assert_allclose(engine.logits(unseen), expected, atol=1e-5)
        np.testing.assert_array_equal(engine.batch_logits(unseen), engine.logits(unseen))


def test_padding_spells_nothing(tmp_path: Path) -> None:
    spelling = spelling_table(
        ["ab", "cd"]
    )  # every token is as long as the longest, and padding must not be the last one
    weights = np.array([[1.0, 2.0]])
    characters = Characters(spelling, [(ord("b"), ord("c")), (ord("a"), ord("b"))], np.ones(2), weights)
    graph = linear_graph([(0,)], np.ones(1), np.zeros((1, 1)), np.zeros(1), characters)
    onnx.save(graph, tmp_path / "model.onnx")
    with Engine(tmp_path / "model.onnx") as engine:
        logits = engine.batch_logits([[0], [0, 1], [1, 1, 1, 1]])[:, 0]
    np.testing.assert_allclose(logits, [2, 3 / np.sqrt(2), 0], atol=1e-6)


def test_tokens_spell_the_text_as_the_tokenizer_reads_it() -> None:
    tokenizer = tokenizer_from_text(tokenizer_json("embedded"), 32)
    spelled = spellings(tokenizer)
    (row,) = encode(tokenizer, ["Unbelievableness, \U0001f600 yes"])
    assert "".join(spelled[token] for token in row) == "\u2581\u2581unbelievableness\u2581,\u2581\u2581yes\u2581"


def test_a_vocabulary_that_marks_spaces_is_spelled_as_it_is() -> None:
    dashes = "-" * 100
    tokenizer = Tokenizer(models.BPE({"<s>": 0, "\u0120good": 1, "ness": 2, dashes: 4}, []))  # without a token 3
    tokenizer.add_special_tokens(["<s>"])
    assert spellings(tokenizer) == ["\u2581", "\u0120good", "ness", "", dashes[:MAX_SPELLED]]


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

"""A tiny real bundle: a tokenizer with a few words, and a linear graph with hand-written weights."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from commentwise.models.bundle import write_manifest
from commentwise.models.engine import Engine
from commentwise.models.graphs.cascade import cascade_graph
from commentwise.models.graphs.linear import linear_graph
from commentwise.models.probabilities import softmax
from commentwise.models.tokens import encode, load_tokenizer

LABELS = ["negative", "neutral", "positive"]
GRAPH = "fp32.onnx"
CASCADE = "cascade.onnx"
MAX_TOKENS = 32
TEMPERATURE = 1.5
GOLDEN_TEXTS = ["a good video", "a bad video", "a video"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
NEGATIVE = ["bad", "awful", "hate"]
POSITIVE = ["good", "great", "love"]
NEUTRAL = ["a", "video", "the", "is", "this", "i", "at", "user", "http", "@"]
VOCABULARY = {word: index for index, word in enumerate([*SPECIAL, *NEGATIVE, *POSITIVE, *NEUTRAL])}


def write_tiny_bundle(folder: Path, strength: float = 6.0, slow: bool = False) -> None:
    """Write the bundle into an empty folder. With a negative `strength`, it confuses negative and positive.

    With `slow`, it takes about a tenth of a second per comment, so that other requests have to wait.
    """
    _tokenizer().save(str(folder / "tokenizer.json"))
    graph = tiny_graph(strength)
    onnx.save(slowed(graph) if slow else graph, folder / GRAPH)
    (folder / "golden.json").write_text(json.dumps(_golden(folder, GRAPH)), encoding="utf-8")
    write_tiny_manifest(folder)


def write_tiny_manifest(folder: Path, **changed: Any) -> None:
    """Write a manifest for the files in the folder, with the fields `changed`."""
    fields: dict[str, Any] = {
        "family": "logreg",
        "checkpoint": "tiny",
        "labels": LABELS,
        "max_tokens": MAX_TOKENS,
        "temperature": TEMPERATURE,
        "devices": {"cpu": GRAPH},
        "metrics": {"test": {"macro_f1": 0.9}},
        "data": {},
        "params": {},
        "git": {},
        "environment": {},
    }
    write_manifest(
        folder, fields | changed, {GRAPH: {"precision": "fp32", "parity": {"macro_f1": 0.9, "agreement": 1.0}}}
    )


def tiny_graph(strength: float = 6.0) -> onnx.ModelProto:
    """A graph with unigram weights: negative words have a weight for the first label, positive words for the last."""
    coefficients = np.zeros((len(LABELS), len(VOCABULARY)))
    coefficients[0, [VOCABULARY[word] for word in NEGATIVE]] = strength
    coefficients[2, [VOCABULARY[word] for word in POSITIVE]] = strength
    ngrams = [(token,) for word, token in VOCABULARY.items() if word not in SPECIAL]
    coefficients = coefficients[:, len(SPECIAL) :]  # as in training, special tokens are not features
    return linear_graph(ngrams, np.ones(len(ngrams)), coefficients, np.array([0.0, 1.0, 0.0]))


def add_cascade(folder: Path, threshold: float) -> None:
    """Add a cascade to a tiny bundle. Its second stage confuses negative and positive."""
    graph = cascade_graph(onnx.load(folder / GRAPH), tiny_graph(-6.0), TEMPERATURE, TEMPERATURE, threshold)
    onnx.save(graph, folder / CASCADE)
    (folder / "golden.json").write_text(json.dumps(_golden(folder, GRAPH, CASCADE)), encoding="utf-8")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    facts = {"precision": "fp32", "parity": {"macro_f1": 0.9, "agreement": 0.9}}
    write_manifest(folder, manifest, {GRAPH: facts, CASCADE: facts | {"cascade": {"threshold": threshold}}})


def slowed(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with additional work that does not change its logits."""
    (last,) = (node for node in graph.graph.node if "logits" in node.output)
    last.output[list(last.output).index("logits")] = "fast"
    helper = onnx.helper
    graph.graph.node.extend(
        [
            # Random numbers: ONNX Runtime would fold constants when it loads the graph.
            helper.make_node("RandomNormal", [], ["noise"], shape=[1200, 1200], dtype=onnx.TensorProto.FLOAT),
            helper.make_node("MatMul", ["noise", "noise"], ["square"]),
            helper.make_node("ReduceMax", ["square"], ["max"], keepdims=0),
            helper.make_node("Sub", ["max", "max"], ["difference"]),
            helper.make_node("Add", ["fast", "difference"], ["logits"]),
        ]
    )
    return graph


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(WordLevel(VOCABULARY, unk_token="[UNK]"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, VOCABULARY[name]) for name in ("[CLS]", "[SEP]")]
    )
    return tokenizer


def _golden(folder: Path, *graphs: str) -> dict[str, Any]:
    rows = encode(load_tokenizer(folder / "tokenizer.json", MAX_TOKENS), GOLDEN_TEXTS)
    probabilities = {}
    for graph in graphs:
        with Engine(folder / graph) as engine:
            probabilities[graph] = softmax(engine.logits(rows), TEMPERATURE).tolist()
    return {"texts": GOLDEN_TEXTS, "probabilities": probabilities}

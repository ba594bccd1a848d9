"""The domain classifier and the embeddings."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from commentwise.errors import CommentwiseError
from commentwise.models.bundle import MANIFEST, Manifest
from commentwise.monitoring.signals import texts
from commentwise.monitoring.signals.texts import Embedder, distinguish
from tests.tiny import GRAPH, write_tiny_manifest

WORDS = [f"{first}{last}" for first in "bcdfgklmnprst" for last in ("ad", "ell", "ing", "ope", "um")]


def comments(rng: np.random.Generator, count: int, *more: str) -> list[str]:
    return [" ".join([*rng.choice(WORDS, 8), *more]) for _ in range(count)]


def test_different_words_are_detected_and_named() -> None:
    rng = np.random.default_rng(0)
    found = distinguish([*comments(rng, 30), *comments(rng, 30, "dividend")], comments(rng, 300))
    assert found.statistic > 0.7
    assert found.p_value < 0.001
    assert found.words[0] == "dividend"


def test_the_p_value_is_valid_for_comments_of_the_same_kind() -> None:
    rng = np.random.default_rng(1)
    reference = comments(rng, 300)
    p_values = [distinguish(comments(rng, 60), reference).p_value for _ in range(40)]
    assert sum(p_value <= 0.05 for p_value in p_values) <= 5  # 2 are expected; 6 or more have a probability of 1%


def test_embeddings_are_unit_vectors_that_depend_on_the_text(tiny_bundle: Path) -> None:
    vectors = Embedder(tiny_bundle).embed(["a good video", "a good video", "bad"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1)
    np.testing.assert_allclose(vectors[0], vectors[1])
    assert vectors[0] @ vectors[2] < 0.9


def test_weights_over_the_2_gb_of_a_graph_stay_in_their_file(
    bundle_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Embedder(bundle_copy).embed(["a good video", "bad"])
    graph = onnx.load(bundle_copy / GRAPH)
    onnx.save(graph, bundle_copy / GRAPH, save_as_external_data=True, location=f"{GRAPH}_data", size_threshold=0)
    graph = onnx.load(bundle_copy / GRAPH, load_external_data=False)
    size, data = 2**31 + 2**20, bundle_copy / f"{GRAPH}_data"
    large = graph.graph.initializer.add(name="large", data_type=onnx.TensorProto.INT8, dims=[size])
    large.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": data.name, "offset": data.stat().st_size, "length": size}.items():
        large.external_data.add(key=key, value=str(value))
    with data.open("ab") as stream:
        stream.truncate(data.stat().st_size + size)  # a hole, which takes no space on the disk
    onnx.save(graph, bundle_copy / GRAPH)
    # Hashing 2 GB twice would take seconds.
    monkeypatch.setattr(texts, "verify_files", lambda folder: Manifest.from_json(folder / MANIFEST))
    np.testing.assert_allclose(Embedder(bundle_copy).embed(["a good video", "bad"]), expected, atol=1e-6)


def test_a_graph_without_a_last_layer_is_refused(bundle_copy: Path) -> None:
    graph = onnx.load(bundle_copy / GRAPH)
    kept = [node for node in graph.graph.node if node.op_type not in ("Gemm", "MatMul")]
    del graph.graph.node[:]
    graph.graph.node.extend(kept)
    onnx.save(graph, bundle_copy / GRAPH)
    write_tiny_manifest(bundle_copy)
    with pytest.raises(CommentwiseError, match="does not end in a matrix product"):
        Embedder(bundle_copy)

"""Tests on the texts themselves, where they are logged: a domain classifier, and embeddings."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from commentwise.errors import CommentwiseError
from commentwise.models.bundle import TOKENIZER, verify_files
from commentwise.models.engine import padded
from commentwise.models.tokens import encode, load_tokenizer
from commentwise.monitoring.signals.reference import Reference, words_of
from commentwise.monitoring.signals.resampling import Outcome, mmd
from commentwise.monitoring.signals.rows import Floats, Rows

MAX_WORDS = 8


def domain_test(reference: Reference, _: Path | None) -> Callable[[Rows], Outcome | None]:
    """The test of windows by `distinguish`; None for windows without texts."""
    texts = reference.rows.texts

    def test(window: Rows) -> Outcome | None:
        if texts is None or window.texts is None:
            return None
        return distinguish(window.texts.tolist(), texts.tolist())

    return test


def embedding_test(reference: Reference, bundle: Path | None) -> Callable[[Rows], Outcome | None]:
    """The test of windows by the distance of their embeddings; None without the bundle, or for windows without texts."""
    texts = reference.rows.texts

    @cache
    def prepared() -> tuple[Embedder, Floats]:
        assert bundle is not None
        assert texts is not None
        embedder = Embedder(bundle)
        return embedder, embedder.embed(texts.tolist())

    def test(window: Rows) -> Outcome | None:
        if bundle is None or texts is None or window.texts is None:
            return None
        embedder, expected = prepared()
        return mmd(embedder.embed(window.texts.tolist()), expected)

    return test


def distinguish(window: Sequence[str], reference: Sequence[str]) -> Outcome:
    """Train a domain classifier on half of the texts and test it on the other half: AUC, p-value and words.

    Lopez-Paz and Oquab 2017, "Revisiting Classifier Two-Sample Tests". Disjoint halves keep the p-value of the
    Mann-Whitney test on the held-out scores exact; cross-validation would not.
    """
    texts = np.array([*window, *reference], dtype=object)
    in_window = np.arange(len(texts)) < len(window)
    half = _random_half(len(window), len(reference))
    model = LogisticRegression(C=10, class_weight="balanced", max_iter=300)
    features = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w\w+\b")
    model.fit(features.fit_transform(texts[half]), in_window[half])
    scores, held_out = model.decision_function(features.transform(texts[~half])), in_window[~half]
    found = mannwhitneyu(scores[held_out], scores[~held_out], alternative="greater", method="asymptotic")
    auc = found.statistic / (held_out.sum() * (~held_out).sum())
    return Outcome(float(auc), float(found.pvalue), tuple(_distinctive_words(window, reference)))


def _random_half(window: int, reference: int) -> NDArray[np.bool_]:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.permutation(size) % 2 == 0 for size in (window, reference)])


def _distinctive_words(window: Sequence[str], reference: Sequence[str]) -> list[str]:
    """Words by how much more often they occur in the window's comments, by smoothed log-odds (Monroe et al. 2008)."""
    ours, theirs = (Counter(word for text in texts for word in set(words_of(text))) for texts in (window, reference))
    size = len(window) / len(reference)

    def z(word: str) -> float:
        expected = (theirs[word] + 0.5) * size
        return float((ours[word] - expected) / np.sqrt(expected + 0.5))

    common = [word for word, count in ours.items() if count >= max(2, len(window) // 50)]
    return [word for word in sorted(common, key=z, reverse=True)[:MAX_WORDS] if z(word) > 1]


class Embedder:
    """Embeds texts as the bundle's last layer sees them: the vectors that it classifies."""

    def __init__(self, bundle: Path) -> None:
        """Cut the bundle's fp32 graph before its last matrix product. Raises CommentwiseError when it has none."""
        manifest = verify_files(bundle)
        name = next(name for name, entry in manifest.files.items() if entry.get("precision") == "fp32")
        # Weights beside the graph stay in their file: with them, it could exceed the 2 GB that protobuf can serialise.
        graph = onnx.load(bundle / name, load_external_data=False)
        products = [node for node in graph.graph.node if node.op_type in ("Gemm", "MatMul")]
        if not products:
            raise CommentwiseError(
                f"the graph of {bundle} does not end in a matrix product: its embeddings cannot be compared"
            )
        self._output = products[-1].input[0]
        graph.graph.output.extend([onnx.helper.make_tensor_value_info(self._output, onnx.TensorProto.FLOAT, None)])
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(bundle.resolve()))
        self._session = onnxruntime.InferenceSession(graph.SerializeToString(), options, ["CPUExecutionProvider"])
        self._tokenizer = load_tokenizer(bundle / TOKENIZER, manifest.max_tokens)

    def embed(self, texts: Sequence[str]) -> Floats:
        """Vectors of length 1, shape (texts, width)."""
        rows = [
            self._session.run([self._output], padded([row]))[0].reshape(-1) for row in encode(self._tokenizer, texts)
        ]
        vectors = np.asarray(rows, dtype=np.float64)
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))

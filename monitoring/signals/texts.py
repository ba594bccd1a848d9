"""What the texts themselves say, where they are logged: a classifier that tells window from reference, and embeddings."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
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
from commentwise.monitoring.signals.reference import words_of
from commentwise.monitoring.signals.resampling import Outcome
from commentwise.monitoring.signals.rows import Floats

TOP_WORDS = 8


@dataclass(frozen=True)
class Told:
    """How well window and reference are told apart: AUC with its p-value, and the words that give the window away."""

    auc: Outcome
    words: list[str]


def tell_apart(window: Sequence[str], reference: Sequence[str]) -> Told:
    """Train a domain classifier on half of both and test it on the other half.

    Lopez-Paz and Oquab 2017, "Revisiting Classifier Two-Sample Tests". The halves keep the p-value (of Mann and Whitney's
    test on the held-out scores) exact, which cross-validation would not.
    """
    texts = np.array([*window, *reference], dtype=object)
    ours = np.arange(len(texts)) < len(window)
    half = _half(len(window), len(reference))
    model, features = _model(), TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w\w+\b")
    model.fit(features.fit_transform(texts[half]), ours[half])
    scores = model.decision_function(features.transform(texts[~half]))
    found = mannwhitneyu(scores[ours[~half]], scores[~ours[~half]], alternative="greater", method="asymptotic")
    auc = found.statistic / (ours[~half].sum() * (~ours[~half]).sum())
    return Told(Outcome(float(auc), float(found.pvalue)), _telling_words(window, reference))


def _half(window: int, reference: int) -> NDArray[np.bool_]:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.permutation(size) % 2 == 0 for size in (window, reference)])


def _model() -> LogisticRegression:
    return LogisticRegression(C=10, class_weight="balanced", max_iter=300)


def _telling_words(window: Sequence[str], reference: Sequence[str]) -> list[str]:
    """Words by how much more often they stand in the window's comments, by smoothed log-odds (Monroe et al. 2008)."""
    ours, theirs = (Counter(word for text in texts for word in set(words_of(text))) for texts in (window, reference))
    size = len(window) / len(reference)

    def z(word: str) -> float:
        expected = (theirs[word] + 0.5) * size
        return float((ours[word] - expected) / np.sqrt(expected + 0.5))

    common = [word for word, count in ours.items() if count >= max(2, len(window) // 50)]
    return [word for word in sorted(common, key=z, reverse=True)[:TOP_WORDS] if z(word) > 1]


class Embedder:
    """The vectors that the bundle's last layer classifies: what the model itself sees of a comment."""

    def __init__(self, bundle: Path) -> None:
        """Cut the bundle's fp32 graph before its last matrix product. Raises CommentwiseError when it has none."""
        manifest = verify_files(bundle)
        graph = onnx.load(
            bundle / next(name for name, entry in manifest.files.items() if entry.get("precision") == "fp32")
        )
        products = [node for node in graph.graph.node if node.op_type in ("Gemm", "MatMul")]
        if not products:
            raise CommentwiseError(
                f"the graph of {bundle} ends in no matrix product: its embeddings cannot be compared"
            )
        self._output = products[-1].input[0]
        graph.graph.output.extend([onnx.helper.make_tensor_value_info(self._output, onnx.TensorProto.FLOAT, None)])
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(graph.SerializeToString(), options, ["CPUExecutionProvider"])
        self._tokenizer = load_tokenizer(bundle / TOKENIZER, manifest.max_tokens)

    def embed(self, texts: Sequence[str]) -> Floats:
        """Vectors of length 1, shape (texts, width)."""
        rows = [
            self._session.run([self._output], padded([row]))[0].reshape(-1) for row in encode(self._tokenizer, texts)
        ]
        vectors = np.asarray(rows, dtype=np.float64)
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))

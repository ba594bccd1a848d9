"""The bundle behind LitServe as in its documentation: a LitAPI with padded batches.

python -m benchmarks.servers.peers.plain_litserve BUNDLE PORT
"""

import sys
from pathlib import Path
from typing import Any

import litserve
import onnxruntime
from numpy.typing import NDArray

from commentwise.models.bundle import TOKENIZER, Manifest
from commentwise.models.engine import padded
from commentwise.models.probabilities import softmax
from commentwise.models.tokens import encode, load_tokenizer


class PlainAPI(litserve.LitAPI):  # type: ignore[misc]  # LitServe has no types
    """A LitAPI with one ONNX Runtime session on all cores."""

    def __init__(self, folder: Path) -> None:
        super().__init__(max_batch_size=32, batch_timeout=0.005)
        self._folder = folder

    def setup(self, device: str) -> None:
        """Load the bundle's graph for the CPU."""
        self._manifest = Manifest.from_json(self._folder / "manifest.json")
        self._tokenizer = load_tokenizer(self._folder / TOKENIZER, self._manifest.max_tokens)
        self._session = onnxruntime.InferenceSession(self._folder / self._manifest.devices["cpu"])

    def decode_request(self, request: dict[str, str]) -> str:
        """Extract the text of a request."""
        return request["text"]

    def predict(self, texts: list[str]) -> NDArray[Any]:
        """Probabilities of a batch, shape (texts, labels)."""
        (logits,) = self._session.run(["logits"], padded(encode(self._tokenizer, texts)))
        return softmax(logits, self._manifest.temperature)

    def encode_response(self, probabilities: NDArray[Any]) -> dict[str, Any]:
        """Label and score of one text."""
        best = int(probabilities.argmax())
        return {"label": self._manifest.labels[best], "score": float(probabilities[best])}


if __name__ == "__main__":
    server = litserve.LitServer(PlainAPI(Path(sys.argv[1])), accelerator="cpu", devices=1)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", generate_client_file=False)

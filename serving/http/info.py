"""The server's description of itself."""

from typing import Any

from commentwise import __version__
from commentwise.serving.runtime.served import Bundle
from commentwise.serving.settings import Settings


def info(bundle: Bundle, settings: Settings) -> dict[str, Any]:
    """Describe the bundle and the limits, with the field names of Text Embeddings Inference where it has them."""
    manifest = bundle.manifest
    return {
        "model_id": manifest.checkpoint,
        "model_sha": bundle.bundle_id,
        "model_dtype": manifest.files[bundle.graph]["precision"],
        "model_type": {
            "classifier": {
                "id2label": {str(index): label for index, label in enumerate(bundle.labels)},
                "label2id": {label: index for index, label in enumerate(bundle.labels)},
            }
        },
        "max_concurrent_requests": settings.max_queue,
        "max_input_length": manifest.max_tokens,
        "max_batch_tokens": settings.batch_tokens or manifest.max_tokens,
        "max_client_batch_size": settings.max_batch,
        "auto_truncate": settings.truncate,
        "version": __version__,
        "family": manifest.family,
        "labels": bundle.labels,
        "device": bundle.device,
        "graph": bundle.graph,
        "bundle_id": bundle.bundle_id,
        "metrics": manifest.metrics.get("test", {}),
    }

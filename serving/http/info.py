"""What the server says of itself."""

from typing import Any

from commentwise import __version__
from commentwise.serving.runtime.served import Bundle
from commentwise.serving.settings import Settings


def info(bundle: Bundle, settings: Settings) -> dict[str, Any]:
    """Facts about the bundle and the limits; those of Text Embeddings Inference under its names."""
    manifest = bundle.manifest
    return {
        "model_id": manifest.checkpoint,
        "model_sha": bundle.bundle_id,
        "model_dtype": manifest.files[bundle.graph]["precision"],
        "model_type": {
            "classifier": {
                "id2label": {str(index): label for index, label in enumerate(manifest.labels)},
                "label2id": {label: index for index, label in enumerate(manifest.labels)},
            }
        },
        "max_concurrent_requests": settings.max_queue,
        "max_input_length": manifest.max_tokens,
        "max_batch_tokens": settings.batch_tokens or manifest.max_tokens,
        "max_client_batch_size": settings.max_batch,
        "auto_truncate": settings.truncate,
        "version": __version__,
        "family": manifest.family,
        "labels": manifest.labels,
        "device": bundle.device,
        "graph": bundle.graph,
        "bundle_id": bundle.bundle_id,
        "metrics": manifest.metrics.get("test", {}),
    }

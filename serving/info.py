"""What the server says of itself."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Any

from serving.served import Bundle
from serving.settings import Settings


def version() -> str:
    """This program's version."""
    try:
        return installed_version("commentwise")
    except PackageNotFoundError:
        return "checkout"


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
        "version": version(),
        "family": manifest.family,
        "labels": manifest.labels,
        "device": bundle.device,
        "graph": bundle.graph,
        "bundle_id": bundle.bundle_id,
        "metrics": manifest.metrics.get("test", {}),
    }

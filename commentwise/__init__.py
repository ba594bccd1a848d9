"""Commentwise: raw comments in, a sentiment model out that a team can trust in production.

>>> from commentwise import Classifier
>>> Classifier("artifacts/bundle").predict(["best tutorial ever"])  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from commentwise.models.bundle import Classifier
    from commentwise.serving.client import AsyncClient, Client

__version__ = "0.1.0"

__all__ = ["AsyncClient", "Classifier", "Client", "__version__"]

_HOMES = {
    "AsyncClient": "commentwise.serving.client",
    "Classifier": "commentwise.models.bundle",
    "Client": "commentwise.serving.client",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: the client needs no ONNX Runtime, the classifier no httpx."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

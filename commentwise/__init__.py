"""Commentwise turns raw comments into a sentiment model that a team can trust in production.

>>> import commentwise
>>> commentwise.load("models:/commentwise@champion").predict(["best tutorial ever"])[0].label  # doctest: +SKIP
'positive'
"""

import os
import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from commentwise.models.bundle import Classifier
    from commentwise.models.names import load
    from commentwise.serving.client import AsyncClient, Client
    from commentwise.training.workspace.notebook import train

# A command is starting: the tool, or `python -m commentwise.…`, while Python still looks for the module.
if os.path.basename(sys.argv[0] if sys.argv else "") in ("commentwise", "-m"):
    from commentwise.errors import end_on_ctrl_c

    end_on_ctrl_c(True)

# pandera and MLflow import PySpark if it is installed, and PySpark warns about pandas 3 at each import. Here, the filter
# is set before any module of ours imports them.
warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)

__version__ = "0.1.0"

__all__ = ["AsyncClient", "Classifier", "Client", "__version__", "load", "train"]

_MODULES = {
    "AsyncClient": "commentwise.serving.client",
    "Classifier": "commentwise.models.bundle",
    "Client": "commentwise.serving.client",
    "load": "commentwise.models.names",
    "train": "commentwise.training.workspace.notebook",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that the client does not need ONNX Runtime, nor the classifier httpx."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

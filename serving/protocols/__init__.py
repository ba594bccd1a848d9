"""The wire formats, one module each: the server's own and those of other servers, whose clients work unchanged.

To add a wire format:

1. Write a module in this folder; it is found by itself. Put `FORMAT = WireFormat("its name")` into it.
2. Decorate its function with `@FORMAT.prediction("/path")`; body limit, deadline, room check and metrics follow.
3. In it, call `inference.classify` and build the response from the Classification: its answers and its bundle.
4. Add `fast=True` where the function takes (body, context, inference): the route is then answered without FastAPI.
5. Declare other routes with `FORMAT.get`, `FORMAT.post` and, for health checks, `FORMAT.probe`.

tei.py is an example with everything but probes, mlflow_scoring.py one with an error form of its own.
"""

from importlib import import_module
from pkgutil import iter_modules

from commentwise.serving.http.wire_format import WireFormat


def find_formats() -> list[WireFormat]:
    """Return the format of every module in this package. Raises AttributeError for a module without FORMAT."""
    names = sorted(module.name for module in iter_modules(__path__))
    return [import_module(f"{__name__}.{name}").FORMAT for name in names]

"""The application's routes: those of every wire format, and those for operating the server."""

from fastapi import FastAPI

from commentwise import __version__
from commentwise.serving.http.error_handlers import add_error_handlers
from commentwise.serving.http.inference import Inference
from commentwise.serving.http.operations import OPERATIONS
from commentwise.serving.http.pages import PAGES
from commentwise.serving.http.wire_format import RouteTable
from commentwise.serving.protocols import find_formats


def route_table() -> RouteTable:
    """Return all routes that the server has."""
    return RouteTable([OPERATIONS, PAGES, *find_formats()])


def add_routes(app: FastAPI, table: RouteTable, inference: Inference) -> None:
    """Add the routes to `app`, whose functions get `inference`, and the handlers of their errors."""
    app.title = "Commentwise"
    app.version = __version__
    app.state.inference = inference
    # FastAPI's own pages load their scripts from a network; "/docs" is one of ours.
    app.router.routes = [route for route in app.router.routes if getattr(route, "path", "") in ("", app.openapi_url)]
    for route in table.routes:
        app.add_api_route(route.path, route.function, methods=[route.method], **route.options)
    add_error_handlers(app)

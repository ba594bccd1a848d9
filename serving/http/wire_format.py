"""The declaration of routes, from which limits, deadline, metrics and the fast path follow.

A module in serving/protocols declares its routes with a WireFormat. The middleware (middleware.py), the fast path
(fast_path.py) and the application (routes.py) read the declarations; none of them knows a route by name.
"""

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from starlette.routing import compile_path

from commentwise.serving.http.refusals import ErrorBody, ErrorModel

Function = TypeVar("Function", bound=Callable[..., Any])
PREDICTION_ERRORS = (400, 401, 408, 413, 422, 424, 429, 500, 503, 504)
"""The statuses with which a prediction can be refused, by any format."""
FAST_PARAMETERS = ["body", "context", "inference"]


@dataclass(frozen=True)
class Route:
    """A route as its module declares it."""

    method: Literal["GET", "POST"]
    path: str
    """As for FastAPI, with parameters in braces."""
    function: Callable[..., Any]
    error: type[ErrorModel]
    """The form of its error bodies; where it has no limits, ErrorBody."""
    options: dict[str, Any]
    """Keyword arguments for FastAPI.add_api_route."""
    predicts: bool = False
    """It classifies texts: refused while the queue is full, and counted as a prediction."""
    limited: bool = False
    """It has the body limit and the deadline; every prediction route does."""
    fast: bool = False
    """It is answered without FastAPI where the body is valid JSON."""
    probe: bool = False
    """It is a health check: open without an API key (--open-health), without rate limit, and not logged."""
    page: bool = False
    """It is a file of the server's pages: open without an API key, which a browser cannot send, and without rate limit."""


@dataclass
class WireFormat:
    """The routes of a wire format.

    Parameters
    ----------
    name : the heading of its routes in the API documentation.
    error : the form of the error bodies of its predictions.

    Examples
    --------
    >>> FORMAT = WireFormat("Shouting")
    >>> @FORMAT.prediction("/shout")
    ... async def shout(body: str) -> str:
    ...     return body.upper()
    >>> RouteTable([FORMAT]).find("/shout").predicts
    True
    """

    name: str
    error: type[ErrorModel] = ErrorBody
    routes: list[Route] = field(default_factory=list)

    def prediction(
        self, path: str, *, fast: bool = False, errors: Sequence[int] = (), **options: Any
    ) -> Callable[[Function], Function]:
        """Declare a POST route that classifies texts.

        `fast`: the function takes (body, context, inference) and needs nothing else of the request. Raises TypeError
        where it takes other parameters. `errors`: statuses beyond PREDICTION_ERRORS.
        """

        def declare(function: Function) -> Function:
            if fast and (parameters := list(inspect.signature(function).parameters)) != FAST_PARAMETERS:
                raise TypeError(f"the function of a fast route takes {FAST_PARAMETERS}, not {parameters}: {path}")
            statuses = (*PREDICTION_ERRORS, *errors)
            return self._add("POST", path, statuses, options, predicts=True, limited=True, fast=fast)(function)

        return declare

    def post(
        self, path: str, *, limited: bool = False, errors: Sequence[int] = (), **options: Any
    ) -> Callable[[Function], Function]:
        """Declare another POST route; with `limited` it has the body limit and the deadline of a prediction."""
        return self._add("POST", path, errors, options, limited=limited)

    def get(self, path: str, *, errors: Sequence[int] = (), **options: Any) -> Callable[[Function], Function]:
        """Declare a GET route."""
        return self._add("GET", path, errors, options)

    def probe(self, path: str, *, errors: Sequence[int] = (), **options: Any) -> Callable[[Function], Function]:
        """Declare a GET route that is a health check."""
        return self._add("GET", path, errors, options, probe=True)

    def page(self, path: str) -> Callable[[Function], Function]:
        """Declare a GET route that returns a file of the server's pages, the same for everybody."""
        return self._add("GET", path, (), {"include_in_schema": False}, page=True)

    def _add(
        self, method: Literal["GET", "POST"], path: str, errors: Sequence[int], options: dict[str, Any], **kind: bool
    ) -> Callable[[Function], Function]:
        error = self.error if kind.get("limited") else ErrorBody
        responses = {status: {"model": error} for status in errors}
        documented = {"tags": [self.name], "responses": responses} | options

        def declare(function: Function) -> Function:
            self.routes.append(Route(method, path, function, error, documented, **kind))
            return function

        return declare


class RouteTable:
    """The routes of all formats, found by path."""

    def __init__(self, formats: Sequence[WireFormat]) -> None:
        """Raises ValueError where two formats declare the same route."""
        self.routes = [route for wire_format in formats for route in wire_format.routes]
        self.probes = frozenset(route.path for route in self.routes if route.probe)
        self.pages = frozenset(route.path for route in self.routes if route.page)
        self._exact: dict[str, Route] = {}
        self._patterns: list[tuple[re.Pattern[str], Route]] = []
        seen = set()
        for route in self.routes:
            if (route.method, route.path) in seen:
                raise ValueError(f"{route.method} {route.path} is declared twice")
            seen.add((route.method, route.path))
            if route.limited and "{" in route.path:
                self._patterns.append((compile_path(route.path)[0], route))
            elif route.limited:
                self._exact[route.path] = route

    def find(self, path: str) -> Route | None:
        """Return the POST route with limits that a path leads to."""
        if route := self._exact.get(path):
            return route
        return next((route for pattern, route in self._patterns if pattern.match(path)), None)

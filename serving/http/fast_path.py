"""The fast path: routes declared with `fast=True` are answered without FastAPI.

FastAPI takes as long per request as tokenising, queueing and counting together. Here its work is three steps: validate
the body, call the route's function, serialise the answer. Any other content type, and every body that is not valid,
goes through FastAPI to the same function, which also writes the error.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.types import Scope, Send

from commentwise.serving.http.context import RequestContext
from commentwise.serving.http.inference import Inference
from commentwise.serving.http.wire_format import RouteTable


@dataclass(frozen=True)
class _Endpoint:
    function: Callable[..., Awaitable[Any]]
    body: TypeAdapter[Any]
    answer: TypeAdapter[Any]
    route: APIRoute


class FastPath:
    """The fast routes of an application, by path."""

    def __init__(self, app: FastAPI, table: RouteTable, inference: Inference) -> None:
        self._inference = inference
        self._endpoints: dict[str, _Endpoint] = {}
        fast = {route.path for route in table.routes if route.fast}
        for route in app.routes:
            if isinstance(route, APIRoute) and route.path in fast and "POST" in (route.methods or ()):
                hints = get_type_hints(route.endpoint)
                body, answer = TypeAdapter(hints["body"]), TypeAdapter(hints["return"])
                self._endpoints[route.path] = _Endpoint(route.endpoint, body, answer, route)

    async def answer(
        self, scope: Scope, headers: dict[bytes, bytes], context: RequestContext, body: bytes, send: Send
    ) -> bool:
        """Answer a request; return False where FastAPI has to. Raises what the route's function raises."""
        endpoint = self._endpoints.get(scope["path"])
        if endpoint is None or not headers.get(b"content-type", b"").startswith(b"application/json"):
            return False
        try:
            parsed = endpoint.body.validate_json(body)
        except ValidationError:
            return False
        scope["route"] = endpoint.route
        content = endpoint.answer.dump_json(await endpoint.function(parsed, context, self._inference))
        length = str(len(content)).encode()
        start = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": start})
        await send({"type": "http.response.body", "body": content})
        return True

"""The short way for the routes that carry the traffic.

FastAPI takes as long around a request as its tokenisation, its queueing and its counting together. What it does for
these routes is done here in three lines: read the body into the request's model, call the route's function, write its
answer. Whatever is not that plain, and every body that is not valid, goes the long way to the same function.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.types import Scope, Send

from commentwise.serving.http.context import Exchange


@dataclass(frozen=True)
class _Endpoint:
    function: Callable[..., Awaitable[Any]]
    request: TypeAdapter[Any]
    answer: TypeAdapter[Any]
    route: APIRoute


class Direct:
    """Functions `async (asked, exchange) -> answer` of an application's POST routes, by path."""

    def __init__(self, app: FastAPI, paths: tuple[str, ...]) -> None:
        self._endpoints: dict[str, _Endpoint] = {}
        for route in app.routes:
            if isinstance(route, APIRoute) and route.path in paths:
                hints = get_type_hints(route.endpoint)
                request, answer = TypeAdapter(hints["asked"]), TypeAdapter(hints["return"])
                self._endpoints[route.path] = _Endpoint(route.endpoint, request, answer, route)

    async def answer(
        self, scope: Scope, headers: dict[bytes, bytes], exchange: Exchange, body: bytes, send: Send
    ) -> bool:
        """Answer a request; False where it has to go the long way. Raises what the function raises."""
        endpoint = self._endpoints.get(scope["path"])
        if endpoint is None or not headers.get(b"content-type", b"").startswith(b"application/json"):
            return False
        try:
            asked = endpoint.request.validate_json(body)
        except ValidationError:
            return False
        scope["route"] = endpoint.route
        content = endpoint.answer.dump_json(await endpoint.function(asked, exchange))
        length = str(len(content)).encode()
        start = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": start})
        await send({"type": "http.response.body", "body": content})
        return True

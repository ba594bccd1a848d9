"""The middleware around every request, whatever its format: access, limits, deadline, disconnection, metrics, log.

The routes declare which of these apply to them (wire_format.py). Plain ASGI
(https://asgi.readthedocs.io/en/latest/specs/www.html).
"""

import asyncio
import random
import re
import time
from collections.abc import Iterable
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from commentwise.serving.events import log
from commentwise.serving.http.access import RateLimit, find_key, parse_keys
from commentwise.serving.http.context import RequestContext
from commentwise.serving.http.fast_path import FastPath
from commentwise.serving.http.inference import Inference
from commentwise.serving.http.operations import ADMIN, METRICS
from commentwise.serving.http.refusals import Refusal, error_response, overloaded
from commentwise.serving.http.wire_format import Route, RouteTable
from commentwise.serving.runtime.scheduler import Overloaded
from commentwise.serving.settings import LOOPBACK

WATCH_AFTER_SECONDS = 0.1
"""Time after which the middleware starts to watch for a client that disconnects."""
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_CLOSED = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_PAGE = (
    b"content-security-policy",
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
)
"""For the server's own pages, which load their files and answers from here and nothing from elsewhere."""


class Traffic:
    """The middleware."""

    def __init__(self, app: ASGIApp, fast_path: FastPath, table: RouteTable, inference: Inference) -> None:
        self._app = app
        self._fast_path = fast_path
        self._table = table
        self._settings = settings = inference.settings
        self._deployment = inference.deployment
        self._metrics = inference.metrics
        self._keys = parse_keys(settings.key_entries())
        self._rate = RateLimit(settings.rate_limit) if settings.rate_limit else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it (called by the ASGI server)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = dict(scope["headers"])
        context = RequestContext(_request_id(headers.get(b"x-request-id", b"")))
        scope["state"]["context"] = context
        path = scope["path"]
        page = path in self._table.pages and scope["method"] == "GET"
        route = self._table.find(path)
        if route is not None:
            context.error = route.error
            if scope["method"] != route.method:
                route = None

        async def respond(message: Message) -> None:
            if message["type"] == "http.response.start":
                context.status = message["status"]
                context.seconds["total"] = time.perf_counter() - started
                message["headers"] = [*message["headers"], *_headers(page, context)]
            elif not message.get("more_body"):
                context.complete = True
            await send(message)

        try:
            if not page:
                self._admit(scope, headers, context)
            if route is not None:
                context.deadline = time.monotonic() + self._seconds(headers.get(b"request-timeout"))
                if route.predicts:
                    self._check_room(context)  # before the work of reading the body
                await self._in_time(scope, headers, context, receive, respond)
            else:
                await self._app(scope, receive, respond)
        except Refusal as refusal:
            context.kind = refusal.kind
            if not context.status:
                await error_response(refusal, context.error)(scope, receive, respond)
        finally:
            self._record(scope, context, route)

    def _admit(self, scope: Scope, headers: dict[bytes, bytes], context: RequestContext) -> None:
        """Raise Refusal where the caller has no access, or has reached the rate limit."""
        path, settings = scope["path"], self._settings
        address = scope["client"][0] if scope["client"] else ""
        probe = path in self._table.probes
        if (probe and settings.open_health) or (path == METRICS and settings.open_metrics):
            return
        key = find_key(self._keys, headers.get(b"authorization", b"")) if self._keys else None
        if self._keys and key is None:
            message = "the API key is missing or unknown: send the header Authorization: Bearer KEY"
            raise Refusal("Unauthorized", message, headers={"WWW-Authenticate": "Bearer"})
        if path.startswith(ADMIN) and not (key.admin if key else address in (LOOPBACK, "::1")):
            raise Refusal("Unauthorized", "this route needs an API key created with --admin", HTTPStatus.FORBIDDEN)
        context.caller = key.name if key else ""
        if self._rate and not probe and (seconds := self._rate.wait(context.caller or address)):
            message = f"more than {settings.rate_limit:g} requests per second: send fewer"
            raise Refusal("Overloaded", message, headers={"Retry-After": str(max(1, round(seconds)))})

    def _check_room(self, context: RequestContext) -> None:
        try:
            self._deployment.live.scheduler.check_room(1, context.deadline)
        except Overloaded as error:
            raise overloaded(error.retry_after) from None

    async def _in_time(
        self, scope: Scope, headers: dict[bytes, bytes], context: RequestContext, receive: Receive, respond: Send
    ) -> None:
        """Have the application answer before the deadline, and cancel it when the client disconnects."""
        seconds = context.deadline - time.monotonic()
        body: bytes | None = None
        watchers: list[asyncio.Task[None]] = []
        task = asyncio.current_task()
        assert task is not None

        def watch() -> None:
            if body is not None:
                watchers.append(asyncio.create_task(_watch(receive, task, context)))

        # Most requests are answered before it would pay to watch for a disconnection.
        timer = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, watch)
        try:
            async with asyncio.timeout(seconds):
                if (body := await self._body(headers, receive)) is None:
                    context.disconnected = True
                    return
                if not await self._fast_path.answer(scope, headers, context, body, respond):
                    await self._app(scope, _replayed(body), respond)
        except TimeoutError:
            if body is None:
                message = f"the body did not arrive within {seconds:g} seconds"
                raise Refusal("Timeout", message, HTTPStatus.REQUEST_TIMEOUT, {"Connection": "close"}) from None
            raise Refusal(
                "Timeout", f"not answered within {seconds:g} seconds: retry later, or with fewer texts"
            ) from None
        except asyncio.CancelledError:
            if not context.disconnected:
                # uvicorn cancels requests that are not answered within --drain-timeout.
                message = "the server is shutting down: retry"
                raise Refusal("Unhealthy", message, headers={"Retry-After": "1"}) from None
        finally:
            timer.cancel()
            for watcher in watchers:
                watcher.cancel()

    def _seconds(self, header: bytes | None) -> float:
        if header is None:
            return self._settings.timeout
        try:
            seconds = float(header)
        except ValueError:
            seconds = 0
        if not seconds > 0:
            raise Refusal(
                "Validation", f"the header Request-Timeout is {header[:20]!r}: it must be a number of seconds"
            )
        return min(seconds, self._settings.timeout)

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
        """Read the whole body; return None when the client disconnects. Raises Refusal when it is too long."""
        limit = self._settings.max_body
        length = headers.get(b"content-length", b"0")
        parts: list[bytes] = []
        size = int(length) if length.isdigit() else 0
        while size <= limit:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                return b"".join(parts)
            size = max(size, sum(map(len, parts)))
        raise Refusal(
            "Validation",
            f"the body has more than {limit} bytes, the limit",
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            {"Connection": "close"},
        )

    def _record(self, scope: Scope, context: RequestContext, declared: Route | None) -> None:
        status = context.status or 499  # nginx's status for a client that disconnected
        route = declared.path if declared else getattr(scope.get("route"), "path", "unknown")
        self._metrics.requests.labels(route, str(status)).inc()
        if declared and declared.predicts:
            kind = context.kind or ("Disconnected" if status == 499 else "Validation")
            self._metrics.request(kind if status >= 400 else "", context.seconds)
        if scope["path"] not in self._table.probes:
            log(
                "request",
                request_id=context.request_id,
                caller=context.caller,
                method=scope["method"],
                route=route,
                status=status,
                texts=context.texts,
                tokens=context.tokens,
                ms={stage: round(1000 * seconds, 2) for stage, seconds in context.seconds.items()},
            )


async def _watch(receive: Receive, task: "asyncio.Task[object]", context: RequestContext) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    if not context.complete:
        context.disconnected = True
        task.cancel()


def _replayed(body: bytes) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()  # a second call waits for the disconnection, on which this task is cancelled
        raise AssertionError

    return receive


def _request_id(given: bytes) -> str:
    return given.decode("ascii") if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"


def _headers(page: bool, context: RequestContext) -> Iterable[tuple[bytes, bytes]]:
    yield b"x-request-id", context.request_id.encode("ascii")
    yield from _ALWAYS
    yield _PAGE if page else _CLOSED
    if context.texts:  # the headers of Text Embeddings Inference, in milliseconds
        yield b"x-compute-tokens", str(context.tokens).encode()
        for stage, name in _TIMES:
            yield name, str(round(1000 * context.seconds.get(stage, 0.0))).encode()


_TIMES = (
    ("total", b"x-total-time"),
    ("tokenization", b"x-tokenization-time"),
    ("queue", b"x-queue-time"),
    ("inference", b"x-inference-time"),
)

"""What every request goes through, whichever format it speaks: access, limits, deadline, disconnection, counting, log.

Plain ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html), around the application.
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
from commentwise.serving.http.context import Exchange
from commentwise.serving.http.fast_path import Direct
from commentwise.serving.http.refusals import Refusal, error_response, overloaded
from commentwise.serving.log.feedback import PATH as FEEDBACK
from commentwise.serving.runtime.deployment import Deployment
from commentwise.serving.runtime.metrics import Metrics
from commentwise.serving.runtime.scheduler import Overloaded
from commentwise.serving.settings import LOOPBACK, Settings

PREDICTING = re.compile(r"/|/predict|/analyze|/invocations|/v2/models/[^/]+(/versions/[^/]+)?/infer")
PROBES = ("/health", "/health/live", "/ping", "/v2/health/live", "/v2/health/ready")
METRICS = "/metrics"
ADMIN = "/admin/"
PATIENT_SECONDS = 0.1
"""After which a client that hangs up is noticed."""
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_CLOSED_PAGE = ((b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),)


class Traffic:
    """The middleware."""

    def __init__(
        self, app: ASGIApp, direct: Direct, settings: Settings, deployment: Deployment, metrics: Metrics
    ) -> None:
        self._app = app
        self._direct = direct
        self._settings = settings
        self._deployment = deployment
        self._metrics = metrics
        self._keys = parse_keys(settings.key_entries())
        self._rate = RateLimit(settings.rate_limit) if settings.rate_limit else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = dict(scope["headers"])
        exchange = Exchange(_request_id(headers.get(b"x-request-id", b"")))
        scope["state"]["exchange"] = exchange
        path = scope["path"]
        predicting = scope["method"] == "POST" and PREDICTING.fullmatch(path) is not None

        async def respond(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                exchange.seconds["total"] = time.perf_counter() - started
                message["headers"] = [*message["headers"], *_headers(path, exchange)]
            elif not message.get("more_body"):
                exchange.complete = True
            await send(message)

        try:
            self._admit(scope, headers, exchange)
            if predicting or path == FEEDBACK:
                exchange.deadline = time.monotonic() + self._seconds(headers.get(b"request-timeout"))
                if predicting:
                    self._check_room(exchange)  # before the work of reading the body
                await self._in_time(scope, headers, exchange, receive, respond)
            else:
                await self._app(scope, receive, respond)
        except Refusal as refusal:
            exchange.kind = refusal.kind
            if not exchange.status:
                await error_response(path, refusal)(scope, receive, respond)
        finally:
            self._record(scope, exchange, predicting)

    def _admit(self, scope: Scope, headers: dict[bytes, bytes], exchange: Exchange) -> None:
        """Raise Refusal where the caller may not ask this, or not so often."""
        path, settings = scope["path"], self._settings
        address = scope["client"][0] if scope["client"] else ""
        if (path in PROBES and settings.open_health) or (path == METRICS and settings.open_metrics):
            return
        key = find_key(self._keys, headers.get(b"authorization", b"")) if self._keys else None
        if self._keys and key is None:
            message = "the API key is missing or unknown: send the header Authorization: Bearer KEY"
            raise Refusal("Unauthorized", message, headers={"WWW-Authenticate": "Bearer"})
        if path.startswith(ADMIN) and not (key.admin if key else address in (LOOPBACK, "::1")):
            raise Refusal("Unauthorized", "this takes an API key made with --admin", HTTPStatus.FORBIDDEN)
        exchange.caller = key.name if key else ""
        if self._rate and path not in PROBES and (seconds := self._rate.wait(exchange.caller or address)):
            message = f"more than {settings.rate_limit:g} requests per second: send fewer"
            raise Refusal("Overloaded", message, headers={"Retry-After": str(max(1, round(seconds)))})

    def _check_room(self, exchange: Exchange) -> None:
        try:
            self._deployment.live.scheduler.check_room(1, exchange.deadline)
        except Overloaded as error:
            raise overloaded(error.retry_after) from None

    async def _in_time(
        self, scope: Scope, headers: dict[bytes, bytes], exchange: Exchange, receive: Receive, respond: Send
    ) -> None:
        """Have the application answer before the deadline, and stop it when the client is gone."""
        seconds = exchange.deadline - time.monotonic()
        body: bytes | None = None
        watchers: list[asyncio.Task[None]] = []
        task = asyncio.current_task()
        assert task is not None

        def look() -> None:
            if body is not None:
                watchers.append(asyncio.create_task(_watch(receive, task, exchange)))

        # Most answers are there sooner than it would pay to look whether somebody still waits for them.
        timer = asyncio.get_running_loop().call_later(PATIENT_SECONDS, look)
        try:
            async with asyncio.timeout(seconds):
                if (body := await self._body(headers, receive)) is None:
                    exchange.disconnected = True
                    return
                if not await self._direct.answer(scope, headers, exchange, body, respond):
                    await self._app(scope, _replayed(body), respond)
        except TimeoutError:
            if body is None:
                message = f"the body did not arrive within {seconds:g} seconds"
                raise Refusal("Timeout", message, HTTPStatus.REQUEST_TIMEOUT, {"Connection": "close"}) from None
            raise Refusal("Timeout", f"not answered within {seconds:g} seconds: ask again later, or for less") from None
        except asyncio.CancelledError:
            if not exchange.disconnected:
                # uvicorn gives up what is not answered in the time that --drain-timeout allows.
                message = "the server is being stopped: ask again"
                raise Refusal("Unhealthy", message, headers={"Retry-After": "1"}) from None
        finally:
            timer.cancel()
            for watcher in watchers:
                watcher.cancel()

    def _seconds(self, asked: bytes | None) -> float:
        if asked is None:
            return self._settings.timeout
        try:
            seconds = float(asked)
        except ValueError:
            seconds = 0
        if not seconds > 0:
            raise Refusal("Validation", f"the header Request-Timeout is {asked[:20]!r}: it must be a number of seconds")
        return min(seconds, self._settings.timeout)

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
        """The whole body; None when the client went away. Raises Refusal when it is too long."""
        most = self._settings.max_body
        length = headers.get(b"content-length", b"0")
        parts: list[bytes] = []
        size = int(length) if length.isdigit() else 0
        while size <= most:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                return b"".join(parts)
            size = max(size, sum(map(len, parts)))
        raise Refusal(
            "Validation",
            f"the body has more than {most} bytes, the limit",
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            {"Connection": "close"},
        )

    def _record(self, scope: Scope, exchange: Exchange, predicting: bool) -> None:
        status = exchange.status or 499  # what nginx calls a client that went away
        route = getattr(scope.get("route"), "path", "unknown")
        self._metrics.requests.labels(route, str(status)).inc()
        if predicting:
            kind = exchange.kind or ("Disconnected" if status == 499 else "Validation")
            self._metrics.request(kind if status >= 400 else "", exchange.seconds)
        if scope["path"] not in PROBES:
            log(
                "request",
                request_id=exchange.request_id,
                caller=exchange.caller,
                method=scope["method"],
                route=route,
                status=status,
                texts=exchange.texts,
                tokens=exchange.tokens,
                ms={stage: round(1000 * seconds, 2) for stage, seconds in exchange.seconds.items()},
            )


async def _watch(receive: Receive, task: "asyncio.Task[object]", exchange: Exchange) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    if not exchange.complete:
        exchange.disconnected = True
        task.cancel()


def _replayed(body: bytes) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()  # when the client is gone, whoever waits here is cancelled
        raise AssertionError

    return receive


def _request_id(given: bytes) -> str:
    return given.decode("ascii") if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"


def _headers(path: str, exchange: Exchange) -> Iterable[tuple[bytes, bytes]]:
    yield b"x-request-id", exchange.request_id.encode("ascii")
    yield from _ALWAYS
    if path not in ("/docs", "/redoc"):
        yield from _CLOSED_PAGE
    if exchange.texts:  # those of Text Embeddings Inference, in milliseconds
        yield b"x-compute-tokens", str(exchange.tokens).encode()
        for stage, name in _TIMES:
            yield name, str(round(1000 * exchange.seconds.get(stage, 0.0))).encode()


_TIMES = (
    ("total", b"x-total-time"),
    ("tokenization", b"x-tokenization-time"),
    ("queue", b"x-queue-time"),
    ("inference", b"x-inference-time"),
)

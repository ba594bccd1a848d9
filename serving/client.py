"""Asking a Commentwise server from Python, at once or in asyncio.

  with Client("http://127.0.0.1:8000") as client:
      print(client.analyze("best tutorial ever").sentiment)

Needs the `client` extra. A server that is busy, starting or restarting is asked again.
"""

import asyncio
import json
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import islice
from types import TracebackType
from typing import Any, Self

import httpx

from commentwise.errors import CommentwiseError

BATCH = 64
"""Texts in a request."""
REQUESTS_AT_ONCE = 4
"""Requests of one `AsyncClient.analyze_many` that the server has at a time."""
BUSY = (429, 503)
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 8.0
"""Seconds before the second attempt, and at most; in between each pause is twice the one before."""


class ClientError(CommentwiseError):
    """A request that was not answered."""

    def __init__(self, message: str, status: int | None = None, error: str = "") -> None:
        super().__init__(message)
        self.status = status
        """The HTTP status, or None where the server did not answer at all."""
        self.error = error
        """The server's reason."""


@dataclass(frozen=True)
class Analysis:
    """One comment's sentiment. `probabilities` are calibrated."""

    sentiment: str
    confidence: float
    probabilities: dict[str, float]
    unsure: bool = False
    """Whether the confidence is below what the server calls sure."""
    tokens: int = 0
    """Tokens the model read."""
    truncated: bool = False
    """Whether the comment had more of them."""


@dataclass(frozen=True)
class Refusal:
    """Why one of several comments was not analysed."""

    error: str
    error_type: str


class Client:
    """A server, asked one request at a time."""

    def __init__(self, url: str, api_key: str | None = None, timeout: float = 30.0, max_attempts: int = 5) -> None:
        """Ask the server at `url`; a request may take `timeout` seconds, all its attempts and pauses included."""
        self._http = httpx.Client(base_url=url, headers=_headers(api_key))
        self._timeout = timeout
        self._max_attempts = max_attempts

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def analyze(self, text: str) -> Analysis:
        """The sentiment of one comment. Raises ClientError when the server refuses it or cannot be reached."""
        return _analysis(self._ask("POST", "analyze", {"text": text}))

    def analyze_many(self, texts: Iterable[str], batch: int = BATCH) -> list[Analysis | Refusal]:
        """The sentiment of each comment, or why it was refused, in order; `batch` comments make a request.

        Raises ClientError when a whole request is refused or the server cannot be reached.
        """
        found: list[Analysis | Refusal] = []
        for part in _batches(texts, batch):
            found += _results(self._ask("POST", "analyze", {"texts": part}), len(part))
        return found

    def info(self) -> dict[str, Any]:
        """What is being served. Raises ClientError when the server cannot be reached."""
        return self._ask("GET", "info")

    def health(self) -> bool:
        """Whether the server is there and ready, as far as one attempt tells."""
        try:
            return self._http.get("health", timeout=self._timeout).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        attempts = _Attempts(self._http.base_url, self._timeout, self._max_attempts)
        content = _encoded(body)
        while True:
            try:
                response = self._http.request(method, path, content=content, timeout=attempts.seconds_left())
            except httpx.HTTPError as error:
                pause = attempts.pause_after(error)
            else:
                if response.status_code not in BUSY:
                    return _content(response)
                pause = attempts.pause_asked_for(response)
            time.sleep(pause)


class AsyncClient:
    """A server, asked several requests at once."""

    def __init__(self, url: str, api_key: str | None = None, timeout: float = 30.0, max_attempts: int = 5) -> None:
        """Ask the server at `url`; a request may take `timeout` seconds, all its attempts and pauses included."""
        self._http = httpx.AsyncClient(base_url=url, headers=_headers(api_key))
        self._timeout = timeout
        self._max_attempts = max_attempts

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def analyze(self, text: str) -> Analysis:
        """The sentiment of one comment. Raises ClientError when the server refuses it or cannot be reached."""
        return _analysis(await self._ask("POST", "analyze", {"text": text}))

    async def analyze_many(self, texts: Iterable[str], batch: int = BATCH) -> list[Analysis | Refusal]:
        """The sentiment of each comment, or why it was refused, in order; `batch` comments make a request.

        Raises ClientError when a whole request is refused or the server cannot be reached.
        """
        limit = asyncio.Semaphore(REQUESTS_AT_ONCE)

        async def ask(part: list[str]) -> list[Analysis | Refusal]:
            async with limit:
                return _results(await self._ask("POST", "analyze", {"texts": part}), len(part))

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(ask(part)) for part in _batches(texts, batch)]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [found for task in tasks for found in task.result()]

    async def info(self) -> dict[str, Any]:
        """What is being served. Raises ClientError when the server cannot be reached."""
        return await self._ask("GET", "info")

    async def health(self) -> bool:
        """Whether the server is there and ready, as far as one attempt tells."""
        try:
            return (await self._http.get("health", timeout=self._timeout)).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        attempts = _Attempts(self._http.base_url, self._timeout, self._max_attempts)
        content = _encoded(body)
        while True:
            try:
                response = await self._http.request(method, path, content=content, timeout=attempts.seconds_left())
            except httpx.HTTPError as error:
                pause = attempts.pause_after(error)
            else:
                if response.status_code not in BUSY:
                    return _content(response)
                pause = attempts.pause_asked_for(response)
            await asyncio.sleep(pause)


class _Attempts:
    """Whether and when a request is made again."""

    def __init__(self, url: httpx.URL, timeout: float, most: int) -> None:
        self._url = url
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._left = most
        self._backoff = FIRST_PAUSE

    def seconds_left(self) -> float:
        return max(self._deadline - time.monotonic(), 0.001)  # 0 would be a socket that does not wait at all

    def pause_after(self, error: httpx.HTTPError) -> float:
        """Seconds to wait after a failed attempt. Raises ClientError where another one is of no use."""
        if isinstance(error, httpx.TimeoutException):
            raise ClientError(f"{self._url} did not answer within {self._timeout:g} seconds")
        failure = ClientError(f"{self._url} cannot be reached: {error}")
        if not isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
            raise failure
        return self._checked(self._next_backoff(), failure)

    def pause_asked_for(self, response: httpx.Response) -> float:
        """Seconds that a busy server wants the client to wait. Raises ClientError where they are too many."""
        asked = response.headers.get("Retry-After", "")
        return self._checked(float(asked) if asked.isdecimal() else self._next_backoff(), _refused(response))

    def _next_backoff(self) -> float:
        longest, self._backoff = self._backoff, min(2 * self._backoff, LONGEST_PAUSE)
        return longest * random.uniform(0.5, 1)  # clients that were turned away together must not come back together

    def _checked(self, pause: float, failure: ClientError) -> float:
        self._left -= 1
        if self._left <= 0 or pause >= self.seconds_left():
            raise failure
        return pause


def _headers(api_key: str | None) -> dict[str, str]:
    return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})


def _encoded(body: dict[str, Any] | None) -> bytes | None:
    # Halves of surrogate pairs, which cut texts have, are no UTF-8; the server would drop them anyway.
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "ignore") if body else None


def _batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    if isinstance(texts, str):
        raise TypeError("texts is a single text: give a list, or call analyze")
    if size < 1:
        raise ValueError(f"batch is {size}: it must be 1 or more")
    rest = iter(texts)
    while part := list(islice(rest, size)):
        yield part


def _content(response: httpx.Response) -> dict[str, Any]:
    """The object in an answer. Raises ClientError when it is an error, or none of our server's answers."""
    if not response.is_success:
        raise _refused(response)
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ClientError(f"{response.url} answered with no JSON object: is that a Commentwise server?")
    return content


def _refused(response: httpx.Response) -> ClientError:
    try:
        error = str(response.json()["error"])
    except (ValueError, TypeError, KeyError):  # not from our server, but from what stands before it
        error = response.text[:200].strip() or response.reason_phrase
    return ClientError(f"{response.url} answered {response.status_code}: {error}", response.status_code, error)


def _analysis(answer: dict[str, Any]) -> Analysis:
    try:
        return Analysis(**{field.name: answer[field.name] for field in fields(Analysis) if field.name in answer})
    except TypeError:
        raise ClientError(f"the answer {answer} lacks a field: is that a Commentwise server?") from None


def _results(answer: dict[str, Any], asked: int) -> list[Analysis | Refusal]:
    results = answer.get("results")
    if not isinstance(results, list) or len(results) != asked:
        raise ClientError(f"the answer has no results for {asked} texts: is that a Commentwise server?")
    return [
        Refusal(entry["error"], entry.get("error_type", "")) if "error" in entry else _analysis(entry)
        for entry in results
    ]

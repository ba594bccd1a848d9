"""Clients of a Commentwise server, for synchronous code and for asyncio.

>>> with Client("http://127.0.0.1:8000") as client:  # doctest: +SKIP
...     client.analyze("best tutorial ever").label
'positive'

Needs the extra `client`. Requests to a server that is busy, starting or restarting are retried.
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

from commentwise.comments.language import UNDETERMINED
from commentwise.errors import CommentwiseError

BATCH = 64
"""Texts per request."""
REQUESTS_AT_ONCE = 4
"""Concurrent requests of one `AsyncClient.analyze_many`."""
BUSY = (429, 503)
FIRST_PAUSE = 0.25
MAX_PAUSE = 8.0
"""Seconds to wait before the first retry, and at most. Each pause is twice the one before."""


class ClientError(CommentwiseError):
    """A request that failed or was refused."""

    def __init__(self, message: str, status: int | None = None, error: str = "") -> None:
        super().__init__(message)
        self.status = status
        """The HTTP status; None if there was no response."""
        self.error = error
        """The reason given by the server."""


@dataclass(frozen=True)
class Analysis:
    """The label of one comment. `probabilities` are calibrated."""

    sentiment: str
    """The label, by its earlier name, which servers of every version send."""
    confidence: float
    probabilities: dict[str, float]
    unsure: bool = False
    """True if the confidence is below the server's --unsure-below."""
    tokens: int = 0
    """Tokens that the model read."""
    truncated: bool = False
    """True if the comment had more tokens."""
    language: str = UNDETERMINED
    """A BCP-47 tag: `und` where the comment does not tell, `mul` where it mixes English with another language."""

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.sentiment


@dataclass(frozen=True)
class Refusal:
    """The reason why one of several comments was not analysed."""

    error: str
    error_type: str


class Client:
    """A synchronous client.

    >>> with Client("http://127.0.0.1:8000", api_key="...") as client:  # doctest: +SKIP
    ...     [analysis.label for analysis in client.analyze_many(["love it", "when is part 2?"])]
    ['positive', 'neutral']
    """

    def __init__(self, url: str, api_key: str | None = None, timeout: float = 30.0, max_attempts: int = 5) -> None:
        """Connect to the server at `url`. A request may take `timeout` seconds, including all attempts and pauses."""
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
        """The label of one comment. Raises ClientError if the server refuses it or cannot be reached."""
        return _analysis(self._request("POST", "analyze", {"text": text}))

    def analyze_many(self, texts: Iterable[str], batch: int = BATCH) -> list[Analysis | Refusal]:
        """The label of each comment, or the reason for a refusal, in order, with `batch` comments per request.

        Raises ClientError if a whole request is refused or the server cannot be reached.
        """
        results: list[Analysis | Refusal] = []
        for part in _batches(texts, batch):
            results += _results(self._request("POST", "analyze", {"texts": part}), len(part))
        return results

    def info(self) -> dict[str, Any]:
        """Information about the served bundle. Raises ClientError if the server cannot be reached."""
        return self._request("GET", "info")

    def health(self) -> bool:
        """True if the server is ready. Makes one attempt only."""
        try:
            return self._http.get("health", timeout=self._timeout).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
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
                pause = attempts.pause_requested(response)
            time.sleep(pause)


class AsyncClient:
    """A client for asyncio.

    >>> async with AsyncClient("http://127.0.0.1:8000") as client:  # doctest: +SKIP
    ...     (await client.analyze("love it")).label
    'positive'
    """

    def __init__(self, url: str, api_key: str | None = None, timeout: float = 30.0, max_attempts: int = 5) -> None:
        """Connect to the server at `url`. A request may take `timeout` seconds, including all attempts and pauses."""
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
        """The label of one comment. Raises ClientError if the server refuses it or cannot be reached."""
        return _analysis(await self._request("POST", "analyze", {"text": text}))

    async def analyze_many(self, texts: Iterable[str], batch: int = BATCH) -> list[Analysis | Refusal]:
        """The label of each comment, or the reason for a refusal, in order, with `batch` comments per request.

        Raises ClientError if a whole request is refused or the server cannot be reached.
        """
        limit = asyncio.Semaphore(REQUESTS_AT_ONCE)

        async def send(part: list[str]) -> list[Analysis | Refusal]:
            async with limit:
                return _results(await self._request("POST", "analyze", {"texts": part}), len(part))

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(send(part)) for part in _batches(texts, batch)]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [result for task in tasks for result in task.result()]

    async def info(self) -> dict[str, Any]:
        """Information about the served bundle. Raises ClientError if the server cannot be reached."""
        return await self._request("GET", "info")

    async def health(self) -> bool:
        """True if the server is ready. Makes one attempt only."""
        try:
            return (await self._http.get("health", timeout=self._timeout)).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    async def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
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
                pause = attempts.pause_requested(response)
            await asyncio.sleep(pause)


class _Attempts:
    """The retries of one request: whether, and after which pause."""

    def __init__(self, url: httpx.URL, timeout: float, max_attempts: int) -> None:
        self._url = url
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._left = max_attempts
        self._backoff = FIRST_PAUSE

    def seconds_left(self) -> float:
        return max(self._deadline - time.monotonic(), 0.001)  # 0 would mean a non-blocking socket

    def pause_after(self, error: httpx.HTTPError) -> float:
        """Seconds to wait after a failed attempt. Raises ClientError if a retry is useless."""
        if isinstance(error, httpx.TimeoutException):
            raise ClientError(f"{self._url} did not answer within {self._timeout:g} seconds")
        failure = ClientError(f"{self._url} cannot be reached: {error}")
        if not isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
            raise failure
        return self._checked(self._next_backoff(), failure)

    def pause_requested(self, response: httpx.Response) -> float:
        """Seconds that a busy server asks the client to wait. Raises ClientError if they exceed the time left."""
        retry_after = response.headers.get("Retry-After", "")
        return self._checked(
            float(retry_after) if retry_after.isdecimal() else self._next_backoff(), _refused(response)
        )

    def _next_backoff(self) -> float:
        pause, self._backoff = self._backoff, min(2 * self._backoff, MAX_PAUSE)
        return pause * random.uniform(0.5, 1)  # jitter: clients refused together must not retry together

    def _checked(self, pause: float, failure: ClientError) -> float:
        self._left -= 1
        if self._left <= 0 or pause >= self.seconds_left():
            raise failure
        return pause


def _headers(api_key: str | None) -> dict[str, str]:
    return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})


def _encoded(body: dict[str, Any] | None) -> bytes | None:
    # Lone surrogates, as in truncated texts, cannot be encoded; the server would drop them anyway.
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
    """The object in a response. Raises ClientError if it is an error, or not from a Commentwise server."""
    if not response.is_success:
        raise _refused(response)
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ClientError(f"{response.url} did not answer with a JSON object: is it a Commentwise server?")
    return content


def _refused(response: httpx.Response) -> ClientError:
    try:
        error = str(response.json()["error"])
    except (ValueError, TypeError, KeyError):  # from a proxy in front of the server
        error = response.text[:200].strip() or response.reason_phrase
    return ClientError(f"{response.url} answered {response.status_code}: {error}", response.status_code, error)


def _analysis(answer: dict[str, Any]) -> Analysis:
    try:
        return Analysis(**{field.name: answer[field.name] for field in fields(Analysis) if field.name in answer})
    except TypeError:
        raise ClientError(f"the answer {answer} lacks a field: is it a Commentwise server?") from None


def _results(answer: dict[str, Any], count: int) -> list[Analysis | Refusal]:
    results = answer.get("results")
    if not isinstance(results, list) or len(results) != count:
        raise ClientError(f"the answer has no results for {count} texts: is it a Commentwise server?")
    return [
        Refusal(entry["error"], entry.get("error_type", "")) if "error" in entry else _analysis(entry)
        for entry in results
    ]

"""The YouTube Data API v3: a client, and reading one page with retries."""

import os
import random
import re
import sys
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from commentwise.errors import CommentwiseError

API_URL = "https://www.googleapis.com/youtube/v3"
KEYS_URL = "https://console.cloud.google.com/apis/credentials"
RESOURCE_PARTS = {"commentThreads": "snippet,replies", "comments": "snippet"}
MAX_ATTEMPTS = 7  # the delays between them add up to a minute, so a limit per minute has passed
MAX_DELAY = 300.0
"""Seconds. A longer Retry-After is an error."""

# Patterns for YouTube's answers. A daily limit may be reported as a rate limit; only the message tells them apart:
# https://github.com/googleapis/google-api-python-client/issues/2753
QUOTA_USED_UP = re.compile("quotaExceeded|dailyLimitExceeded|per day")
KEY_REFUSED = re.compile("keyInvalid|keyExpired|API key|API_KEY_|accessNotConfigured|SERVICE_DISABLED|ipRefererBlocked")
TRANSIENT = re.compile("[rR]ateLimitExceeded|processingFailure")

Json = dict[str, Any]
Wait = Callable[[float], None]
"""Called with the seconds to wait before the next attempt."""


class ApiError(CommentwiseError):
    """YouTube refused a request: https://developers.google.com/youtube/v3/docs/errors."""

    def __init__(self, status: int, answer: str, retry_after: float) -> None:
        super().__init__(f"YouTube answered {status} {answer}")
        self.status, self.retry_after = status, retry_after
        self.quota_used_up = bool(QUOTA_USED_UP.search(answer))
        self.transient = not self.quota_used_up and (status == 429 or status >= 500 or bool(TRANSIENT.search(answer)))


def open_client() -> httpx.Client:
    """Return a client for the API, configured by YOUTUBE_API_KEY and YOUTUBE_API_URL.

    The key is sent as a header because URLs end up in logs: https://cloud.google.com/docs/authentication/api-keys-use.
    Raises CommentwiseError when a variable is missing or invalid.
    """
    key = os.environ.get("YOUTUBE_API_KEY", "").strip()
    if not key:
        raise CommentwiseError(f"YOUTUBE_API_KEY is not set: put an API key from {KEYS_URL} in that variable")
    if not re.fullmatch("[!-~]+", key):
        raise CommentwiseError("YOUTUBE_API_KEY contains characters that no API key has: copy the key again")
    address = os.environ.get("YOUTUBE_API_URL") or API_URL
    if not re.fullmatch(r"https?://[\w.-]+(:\d{1,4}|:[1-5]\d{4})?(/[\w./-]*)?", address, re.ASCII):
        raise CommentwiseError(f"YOUTUBE_API_URL is {address.replace(key, '(key)')!r}: give a URL such as {API_URL}")
    return httpx.Client(base_url=address, headers={"X-Goog-Api-Key": key}, timeout=30)


def fetch(client: httpx.Client, request: Json, wait: Wait) -> Json:
    """Read the requested page, with retries after connection errors, 429, 5xx and rate limits.

    https://developers.google.com/youtube/v3/docs/commentThreads/list and .../comments/list describe the pages.
    Raises ApiError when YouTube refuses the request or every attempt fails, CommentwiseError when it cannot be reached.
    """
    params = {
        "part": RESOURCE_PARTS[request["resource"]],
        "maxResults": 100,
        "textFormat": "plainText",
        **request["params"],
    }
    for attempt in range(MAX_ATTEMPTS):
        delay = 2**attempt + random.random()
        try:
            return _page(client.get(request["resource"], params=params), client.headers["X-Goog-Api-Key"])
        except httpx.RequestError as error:
            problem = f"cannot reach {client.base_url.host} ({type(error).__name__}: {error})"
            failure = CommentwiseError(f"{problem}: check the network and YOUTUBE_API_URL; the same command resumes")
        except ApiError as error:
            if not error.transient or error.retry_after > MAX_DELAY:
                raise
            failure, delay = error, error.retry_after or delay
        if attempt < MAX_ATTEMPTS - 1:
            print(f"{failure}; trying again in {delay:.0f} s", file=sys.stderr)
            wait(delay)
    raise failure


def _page(response: httpx.Response, key: str) -> Json:
    try:
        answer = response.json()
        if response.is_success:
            return {"items": list(answer["items"]), "next": answer.get("nextPageToken")}
        error = answer["error"]
        reasons = [entry.get("reason") for entry in error.get("errors", []) + error.get("details", [])]
        refusal = f"{' '.join(filter(None, reasons))}: {error['message']}"
    except (ValueError, KeyError, TypeError, AttributeError):
        refusal = f"{response.reason_phrase}, not in the format of its API: check YOUTUBE_API_URL"
    retry_after = response.headers.get("Retry-After")
    # Messages contain HTML and line breaks, and a server may repeat the key in one.
    message = " ".join(re.sub("<[^>]*>", "", refusal).replace(key, "(key)").split())
    if retry_after:
        message += f" (Retry-After: {retry_after})"
    raise ApiError(response.status_code, message, _seconds(retry_after or "0"))


def _seconds(retry_after: str) -> float:
    """Seconds of a Retry-After header, a number or a date: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3."""
    try:
        if retry_after.isdigit():
            return float(retry_after)
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0

"""A local stand-in for the comment endpoints of the YouTube Data API v3, as documented.

https://developers.google.com/youtube/v3/docs/commentThreads/list, .../comments/list, .../errors and .../core_errors.
"""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Json = dict[str, Any]

KEY = "AIzaSy-a-secret-that-must-not-show"

REFUSALS = {
    "commentsDisabled": (
        403,
        "youtube.commentThread",
        'The video identified by the <code><a href="/youtube/v3/docs/commentThreads/list#videoId">videoId</a></code>'
        " parameter has disabled comments.",
    ),
    "videoNotFound": (
        404,
        "youtube.commentThread",
        "The video identified by the videoId parameter could not be found.",
    ),
    "commentNotFound": (404, "youtube.comment", "One or more of the specified comments cannot be found."),
    "quotaExceeded": (
        403,
        "youtube.quota",
        'The request cannot be completed because you have exceeded your <a href="/youtube/v3/getting-started#quota">'
        "quota</a>.",
    ),
    "dailyLimitExceeded": (
        403,
        "usageLimits",
        "Daily Limit Exceeded. The quota will be reset at midnight Pacific Time (PT).",
    ),
    "rateLimitExceeded": (403, "usageLimits", "Rate Limit Exceeded"),
    "processingFailure": (400, "youtube.commentThread", "The API server failed to successfully process the request."),
    "forbidden": (403, "youtube.commentThread", "The request might not be properly authorized."),
    "keyInvalid": (400, "usageLimits", "Bad Request"),
    "accessNotConfigured": (403, "usageLimits", "YouTube Data API has not been used in this project before."),
    "invalidPageToken": (400, "youtube.parameter", "The request specifies an invalid page token."),
    "missingRequiredParameter": (400, "youtube.parameter", "No filter selected."),
    "invalidParameter": (400, "global", "Invalid value."),
    "backendError": (503, "global", "Backend Error"),
}


@dataclass
class Answer:
    """An answer in place of a page. With status 0, the server closes the connection."""

    status: int = 0
    body: Json | str = ""
    headers: dict[str, str] = field(default_factory=dict)


def refusal(reason: str, **headers: str) -> Answer:
    status, domain, message = REFUSALS[reason]
    error = {"message": message, "domain": domain, "reason": reason}
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"error": {"code": status, "message": message, "errors": [error]}}, headers)


def limit_per_day() -> Answer:
    """The daily limit, reported as a rate limit (googleapis/google-api-python-client#2753)."""
    message = (
        "Quota exceeded for quota metric 'Queries' and limit 'Queries per day' of service 'youtube.googleapis.com'."
    )
    error = {"message": message, "domain": "global", "reason": "rateLimitExceeded"}
    return Answer(429, {"error": {"code": 429, "message": message, "errors": [error], "status": "RESOURCE_EXHAUSTED"}})


def wrong_key(message: str = "API key not valid. Please pass a valid API key.") -> Answer:
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
    }
    locale = {"@type": "type.googleapis.com/google.rpc.LocalizedMessage", "locale": "en-US", "message": message}
    errors = [{"message": message, "domain": "global", "reason": "badRequest"}]
    error = {"code": 400, "message": message, "errors": errors, "status": "INVALID_ARGUMENT", "details": [info, locale]}
    return Answer(400, {"error": error})


def comment(comment_id: str, video: str, text: str, parent: str = "") -> Json:
    snippet: Json = {
        "channelId": "UC-channel",
        "videoId": video,
        "textDisplay": text,
        "authorDisplayName": "@someone",
        "authorChannelId": {"value": f"UC-author-{text[:1]}"},
        "likeCount": len(text),
        "publishedAt": "2026-03-01T12:00:00Z",
        "updatedAt": "2026-03-02T12:00:00Z",
    }
    if parent:
        snippet["parentId"] = parent
    if text == "hello":
        del snippet["authorChannelId"]  # the author deleted the channel
    return {"kind": "youtube#comment", "etag": "etag", "id": comment_id, "snippet": snippet}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet per answer avoids the delay of Nagle's algorithm on keep-alive connections
    server: "YouTubeApi"

    def do_GET(self) -> None:
        number = self.server.note(self.path, self.headers.get("X-Goog-Api-Key"))
        if number in self.server.held:
            self.server.released.wait(10)
        answer = self.server.instead.get(number) or self.server.answer(self.path, self.headers.get("X-Goog-Api-Key"))
        self.close_connection = not answer.status
        if answer.status:
            self.send(answer)

    def send(self, answer: Answer) -> None:
        body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(body.encode())), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


class YouTubeApi(ThreadingHTTPServer):
    """Serves `threads`: by video and thread id, the text of the comment and those of its replies."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.threads: dict[str, dict[str, tuple[str, list[str]]]] = {}
        self.instead: dict[int, Answer] = {}  # by request number, from 1
        self.held: set[int] = set()
        self.released = threading.Event()
        self.requests: list[str] = []
        self.keys: set[str | None] = set()
        self.page_size = 2  # the API may return fewer than maxResults
        self.embedded = 1  # "a limited number of replies"
        self.age = 0  # page tokens of another age have expired
        self._change = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/youtube/v3"

    def note(self, path: str, key: str | None) -> int:
        with self._change:
            self.requests.append(path)
            self.keys.add(key)
            self._change.notify_all()
            return len(self.requests)

    def wait_for(self, requests: int) -> None:
        with self._change:
            assert self._change.wait_for(lambda: len(self.requests) >= requests, timeout=10)

    def answer(self, path: str, key: str | None) -> Answer:
        if key != KEY:
            return wrong_key()
        resource = urlsplit(path).path.removeprefix("/youtube/v3/")
        query = dict(parse_qsl(urlsplit(path).query))
        try:
            if resource == "commentThreads":
                self._check(query, {"videoId", "order"}, {"snippet", "replies", "id"})
                return self._comment_threads(query)
            self._check(query, {"parentId"}, {"snippet", "id"})
            return self._replies(query)
        except KeyError as missing:
            return refusal("missingRequiredParameter", X_Missing=str(missing))

    def _check(self, query: dict[str, str], allowed: set[str], parts: set[str]) -> None:
        assert not set(query) - allowed - {"part", "maxResults", "pageToken", "textFormat"}, query
        assert set(query["part"].split(",")) <= parts, query
        assert 1 <= int(query["maxResults"]) <= 100, query
        assert query["textFormat"] == "plainText", query
        assert query.get("order", "time") == "time", query

    def _comment_threads(self, query: dict[str, str]) -> Answer:
        video = query["videoId"]
        if video not in self.threads:
            return refusal("videoNotFound")
        items = [self._thread(video, thread) for thread in self.threads[video]]
        return self._page("youtube#commentThreadListResponse", items, query.get("pageToken"))

    def _thread(self, video: str, thread: str) -> Json:
        text, replies = self.threads[video][thread]
        snippet = {
            "videoId": video,
            "topLevelComment": comment(thread, video, text),
            "canReply": True,
            "totalReplyCount": len(replies),
            "isPublic": True,
        }
        resource: Json = {"kind": "youtube#commentThread", "etag": "etag", "id": thread, "snippet": snippet}
        if replies:
            resource["replies"] = {"comments": self._all_replies(video, thread)[: self.embedded]}
        return resource

    def _all_replies(self, video: str, thread: str) -> list[Json]:
        replies = self.threads[video][thread][1]
        return [comment(f"{thread}.{number}", video, text, thread) for number, text in enumerate(replies)]

    def _replies(self, query: dict[str, str]) -> Answer:
        thread = query["parentId"]
        for video, threads in self.threads.items():
            if thread in threads:
                return self._page(
                    "youtube#commentListResponse", self._all_replies(video, thread), query.get("pageToken")
                )
        return refusal("commentNotFound")

    def _page(self, kind: str, items: list[Json], token: str | None) -> Answer:
        age, start = map(int, token.split("-")) if token else (self.age, 0)
        if age != self.age:
            return refusal("invalidPageToken")
        end = start + self.page_size
        page: Json = {"kind": kind, "etag": "etag", "pageInfo": {"totalResults": len(items), "resultsPerPage": 100}}
        if end < len(items):
            page["nextPageToken"] = f"{self.age}-{end}"
        return Answer(200, {**page, "items": items[start:end]})

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors of connections whose client was killed."""

"""Collect the comments of YouTube videos through the YouTube Data API v3, in our comments table schema.

Two hidden files hold an unfinished video: its comments so far, and a state that says how many bytes of them count and
what is still to come. A page counts once the state is replaced, so that a run stopped anywhere goes on after it.
"""

import argparse
import json
import os
import random
import re
import sys
import time
from collections.abc import Callable, Iterable
from email.utils import parsedate_to_datetime
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress

from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import read_json, write_json

API_URL = "https://www.googleapis.com/youtube/v3"
KEYS_URL = "https://console.cloud.google.com/apis/credentials"
ADDRESS = r"(?:https?://)?(?:(?:www\.|m\.|music\.)?youtube\.com/(?:watch\?(?:\S*&)?v=|shorts/|live/|embed/)|youtu\.be/)"
PARTS = {"commentThreads": "snippet,replies", "comments": "snippet"}
TRIES = 7  # the waits between them last a minute together, after which a limit per minute is over
LONGEST_WAIT = 300.0

# Looked for in YouTube's answer. A limit per day can come as a rate limit, which the message alone tells apart:
# https://github.com/googleapis/google-api-python-client/issues/2753
QUOTA_USED_UP = re.compile("quotaExceeded|dailyLimitExceeded|per day")
KEY_REFUSED = re.compile("keyInvalid|keyExpired|API key|API_KEY_|accessNotConfigured|SERVICE_DISABLED|ipRefererBlocked")
TRANSIENT = re.compile("[rR]ateLimitExceeded|processingFailure")
ADVICE = {
    "commentsDisabled": "comments are disabled for this video: leave it out",
    "videoNotFound": "no such video, or it is private: check the id",
    "forbidden": "an API key does not get to see the comments of this video: leave it out",
}

Step = dict[str, Any]  # a comment, or the request of a page that has not been read yet
Wait = Callable[[float], None]


class ApiError(CommentwiseError):
    """A request that YouTube refused: https://developers.google.com/youtube/v3/docs/errors."""

    def __init__(self, status: int, answer: str, retry_after: float) -> None:
        super().__init__(f"YouTube answered {status} {answer}")
        self.status, self.retry_after = status, retry_after
        self.quota_used_up = bool(QUOTA_USED_UP.search(answer))
        self.transient = not self.quota_used_up and (status == 429 or status >= 500 or bool(TRANSIENT.search(answer)))


def video_id(text: str) -> str:
    """Return the id in `text`, which is the id itself or a URL of the video; raise CommentwiseError without one."""
    found = re.fullmatch(rf"(?:{ADDRESS})?([\w-]{{11}})(?:[?&/#].*)?", text, re.ASCII)
    if not found:
        raise CommentwiseError(f"{text!r} is no video: give the 11 characters of a video's id, or its YouTube URL")
    return found[1]


def fetch(client: httpx.Client, request: Step, wait: Wait) -> Step:
    """Read the requested page, trying again after connection errors, 429, 5xx and rate limits.

    https://developers.google.com/youtube/v3/docs/commentThreads/list and .../comments/list describe the pages.
    Raises ApiError when YouTube refuses or keeps failing, CommentwiseError when it cannot be reached.
    """
    params = {"part": PARTS[request["resource"]], "maxResults": 100, "textFormat": "plainText", **request["params"]}
    for attempt in range(TRIES):
        delay = 2**attempt + random.random()
        try:
            return _page(client.get(request["resource"], params=params), client.headers["X-Goog-Api-Key"])
        except httpx.RequestError as error:
            problem = f"cannot reach {client.base_url.host} ({type(error).__name__}: {error})"
            failure = CommentwiseError(f"{problem}: check the network and YOUTUBE_API_URL; the same command resumes")
        except ApiError as error:
            if not error.transient or error.retry_after > LONGEST_WAIT:
                raise
            failure, delay = error, error.retry_after or delay
        if attempt < TRIES - 1:
            print(f"{failure}; trying again in {delay:.0f} s", file=sys.stderr)
            wait(delay)
    raise failure


def _page(response: httpx.Response, key: str) -> Step:
    try:
        answer = response.json()
        if response.is_success:
            return {"items": list(answer["items"]), "next": answer.get("nextPageToken")}
        error = answer["error"]
        reasons = [entry.get("reason") for entry in error.get("errors", []) + error.get("details", [])]
        refusal = f"{' '.join(filter(None, reasons))}: {error['message']}"
    except (ValueError, KeyError, TypeError, AttributeError):
        refusal = f"{response.reason_phrase}, not in the format of its API: check YOUTUBE_API_URL"
    asked = response.headers.get("Retry-After")
    # A message contains HTML and can span lines, and nothing keeps a server from repeating the key in it.
    plain = " ".join(re.sub("<[^>]*>", "", refusal).replace(key, "(key)").split())
    raise ApiError(response.status_code, f"{plain} (Retry-After: {asked})" if asked else plain, _seconds(asked or "0"))


def _seconds(asked: str) -> float:
    """Retry-After is a number or a date: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3."""
    try:
        return max(0.0, float(asked) if asked.isdigit() else parsedate_to_datetime(asked).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def _read(client: httpx.Client, request: Step, video: str, wait: Wait) -> list[Step]:
    """Read the requested page; return its comments and the requests that complete it, in output order."""
    try:
        page = fetch(client, request, wait)
    except ApiError as error:
        if request["resource"] == "comments" and error.status == 404:
            return []  # the thread was deleted after its page had been read
        raise
    steps: list[Step] = []
    for item in page["items"]:
        steps += _thread(item, video) if request["resource"] == "commentThreads" else [_comment(item, video)]
    # YouTube has answered a page with that page's own token before, which would go on for ever:
    # https://github.com/Benjamin-Loison/YouTube-operational-API/issues/275
    if page["next"] and page["next"] != request["params"].get("pageToken"):
        steps.append({**request, "params": {**request["params"], "pageToken": page["next"]}})
    return steps


def _thread(thread: Step, video: str) -> list[Step]:
    top = _comment(thread["snippet"]["topLevelComment"], video)
    replies = thread.get("replies", {}).get("comments", [])
    if thread["snippet"]["totalReplyCount"] > len(replies):
        return [top, {"resource": "comments", "params": {"parentId": thread["id"]}}]
    return [top, *(_comment(reply, video) for reply in replies)]


def _comment(resource: Step, video: str) -> Step:
    known = {"comment_id": resource["id"], "video_id": video, "published_at": resource["snippet"]["publishedAt"]}
    return {**known, "text": resource["snippet"]["textDisplay"], "label": None}  # textOriginal is for the author only


class Unfinished:
    """What is saved of a video that is not complete: its comments so far and the steps still to come."""

    def __init__(self, video: str, out: Path) -> None:
        self.video = video
        self.comments = out / f".{video}.partial.jsonl"
        self.state = out / f".{video}.state.json"
        self.ids: set[str] = set()
        self.pending: list[Step] = []
        self.resumed = False

    def load(self, limit: int) -> None:
        """Take up what an earlier run saved, at most `limit` comments; start over when there is nothing usable."""
        if not self.state.exists():
            return self.start_over()
        try:
            state = read_json(self.state)
            os.truncate(self.comments, state["bytes"])  # where bytes are missing this adds zeros, which are no JSON
            lines = self.comments.read_bytes().splitlines(keepends=True)[:limit]
            self.ids, self.pending = {json.loads(line)["comment_id"] for line in lines}, state["pending"]
            os.truncate(self.comments, sum(map(len, lines)))
            self.resumed = True
            print(f"{self.video}: going on after {len(self.ids)} comments", file=sys.stderr)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            print(f"{self.video}: what an earlier run saved is damaged: starting over", file=sys.stderr)
            self.start_over()

    def start_over(self) -> None:
        """Forget what is saved; the first page is to come."""
        self.forget()
        self.comments.touch()
        self.ids, self.resumed = set(), False
        self.pending = [{"resource": "commentThreads", "params": {"videoId": self.video, "order": "time"}}]

    def save(self, limit: int) -> None:
        """Append the comments that lead what is pending, then record what remains."""
        ready = list(takewhile(lambda step: "comment_id" in step, self.pending))
        # Pages shift while people write, so that a comment can come twice.
        new = {step["comment_id"]: step for step in ready if step["comment_id"] not in self.ids}
        with self.comments.open("ab") as stream:
            for comment_id, comment in islice(new.items(), limit - len(self.ids)):
                stream.write(json.dumps(comment, ensure_ascii=False).encode() + b"\n")
                self.ids.add(comment_id)
        self.pending = self.pending[len(ready) :]
        write_json(self.state, {"bytes": self.comments.stat().st_size, "pending": self.pending})

    def forget(self) -> None:
        """Delete the hidden files, with those that a killed run left in the middle of writing."""
        for path in self.state.parent.glob(f".*{self.video}.*"):
            path.unlink()


def collect_video(client: httpx.Client, video: str, out: Path, limit: int, wait: Wait = time.sleep) -> str:
    """Write `<out>/<video>.jsonl`, going on where an earlier run stopped; return a line that says what there is.

    Raises ApiError when YouTube refuses (https://developers.google.com/youtube/v3/docs/errors), CommentwiseError when
    it cannot be reached or the quota is used up; the finished pages stay saved.
    """
    final, work = out / f"{video}.jsonl", Unfinished(video, out)
    if final.exists():
        work.forget()  # a run killed at its very end leaves a state behind
        count = final.read_bytes().count(b"\n")
        return f"{video}: already collected: {count} comments; delete {final} to collect it again"
    work.load(limit)
    try:
        _read_all(client, work, limit, wait)
    except ApiError as error:
        if not error.quota_used_up:
            raise
        saved = f"{len(work.ids)} comments of {video} and all complete videos are saved in {out}"
        again = "the quota resets at midnight Pacific time, and the same command resumes"
        raise CommentwiseError(f"the quota of the API key is used up ({error}): {saved}; {again}") from error
    os.replace(work.comments, final)  # before the state goes: without it, the comments would count for nothing
    work.forget()
    return f"{video}: {len(work.ids)} comments in {final}"


def _read_all(client: httpx.Client, work: Unfinished, limit: int, wait: Wait) -> None:
    columns = ("{task.description}", BarColumn(), "{task.completed} comments")
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_interactive) as progress:
        bar = progress.add_task(work.video, total=limit if limit < sys.maxsize else None)
        while work.pending and len(work.ids) < limit:
            progress.update(bar, completed=len(work.ids))
            try:
                work.pending[:1] = _read(client, work.pending[0], work.video, wait)
                work.save(limit)
            except ApiError as error:
                if not work.resumed or "invalidPageToken" not in str(error):
                    raise
                print(f"{work.video}: the saved place in the list has expired: starting over", file=sys.stderr)
                work.start_over()


def collect(client: httpx.Client, videos: Iterable[str], out: Path, limit: int, wait: Wait = time.sleep) -> None:
    """Collect several videos; one that cannot be had does not keep the others back.

    Raises CommentwiseError at once when none can be had (quota, key, network), else at the end, naming the failed ones.
    """
    failed = []
    for video in videos:
        try:
            print(collect_video(client, video, out, limit, wait))
        except ApiError as error:
            if KEY_REFUSED.search(str(error)):
                raise CommentwiseError(f"YouTube refuses YOUTUBE_API_KEY ({error}): check it at {KEYS_URL}") from error
            print(f"{video}: {next((ADVICE[name] for name in ADVICE if name in str(error)), error)}", file=sys.stderr)
            failed.append(video)
    if failed:
        raise CommentwiseError(f"not collected: {', '.join(failed)} (see above); all other videos are in {out}")


def open_client() -> httpx.Client:
    """Return a client for the API at YOUTUBE_API_URL; raise CommentwiseError when a variable is unusable.

    The key travels as a header, since URLs end up in logs: https://cloud.google.com/docs/authentication/api-keys-use.
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


def _at_least_one(text: str) -> int:
    if not re.fullmatch("0*[1-9][0-9]{0,17}", text):
        raise CommentwiseError(f"--max-comments is {text!r}: give a whole number of 1 or more")
    return int(text)


def main() -> None:
    """Run the command."""
    about = "Collect the comments of YouTube videos; the same command goes on with an interrupted collection."
    variables = "YOUTUBE_API_KEY holds the API key; YOUTUBE_API_URL, where set, another address of the API."
    parser = argparse.ArgumentParser(prog="commentwise collect", description=about, epilog=variables)
    add = parser.add_argument
    add("videos", nargs="+", type=video_id, metavar="VIDEO", help="id or URL; an id that begins with - goes after --")
    add("--out", type=Path, default=Path("data/collected"), help="folder of the .jsonl files (default: %(default)s)")
    add("--max-comments", type=_at_least_one, default=sys.maxsize, metavar="N", help="stop each video after N comments")
    args = parser.parse_args()
    try:
        with open_client() as client:
            args.out.mkdir(parents=True, exist_ok=True)
            collect(client, dict.fromkeys(args.videos), args.out, args.max_comments)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise CommentwiseError(f"cannot write {error.filename} ({error.strerror}): give another --out") from error


if __name__ == "__main__":
    run_command(main)

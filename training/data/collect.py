"""Collect the comments of YouTube videos through the YouTube Data API v3, with the columns of the comments table.

The progress of an incomplete video is saved in two hidden files: its comments so far, and a state with the valid length
of that file and the requests that remain. A page is complete once the state is replaced, so an interrupted run resumes
after the last complete page.
"""

import argparse
import hashlib
import hmac
import json
import os
import re
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice, takewhile
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress

from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import read_json, write_json
from commentwise.training.data.youtube import KEY_REFUSED, KEYS_URL, ApiError, Json, Wait, fetch, open_client

ADDRESS = r"(?:https?://)?(?:(?:www\.|m\.|music\.)?youtube\.com/(?:watch\?(?:\S*&)?v=|shorts/|live/|embed/)|youtu\.be/)"
"""The part of a video's URL before the id."""
ADVICE = {
    "commentsDisabled": "comments are disabled for this video: leave it out",
    "videoNotFound": "no such video, or it is private: check the id",
    "forbidden": "an API key cannot read the comments of this video: leave it out",
}

SALT = "COMMENTWISE_AUTHOR_SALT"
MIN_SALT = 16
"""Characters. Channel ids are public, so a salt that can be guessed would give the authors away."""

Step = Json
"""A comment, or the request for a page that has not been read yet (keys resource and params)."""


def video_id(text: str) -> str:
    """Return the id of a video from `text`, an id or a URL. Raises CommentwiseError if it is neither.

    >>> video_id("https://youtu.be/dQw4w9WgXcQ?t=10")
    'dQw4w9WgXcQ'
    """
    match = re.fullmatch(rf"(?:{ADDRESS})?([\w-]{{11}})(?:[?&/#].*)?", text, re.ASCII)
    if not match:
        raise CommentwiseError(f"{text!r} is not a video: give the 11 characters of a video's id, or its YouTube URL")
    return match[1]


def _read(client: httpx.Client, request: Step, video: str, salt: str, wait: Wait) -> list[Step]:
    """Read the requested page; return its comments and the requests for its replies and the next page, in output order."""
    try:
        page = fetch(client, request, wait)
    except ApiError as error:
        if request["resource"] == "comments" and error.status == 404:
            return []  # the thread was deleted after its page was read
        raise
    steps: list[Step] = []
    for item in page["items"]:
        if request["resource"] == "commentThreads":
            steps += _thread(item, video, salt)
        else:
            steps.append(_comment(item, video, salt, request["params"]["parentId"]))
    # YouTube has returned a page's own token as the token of the next page, which would be an endless loop:
    # https://github.com/Benjamin-Loison/YouTube-operational-API/issues/275
    if page["next"] and page["next"] != request["params"].get("pageToken"):
        steps.append({**request, "params": {**request["params"], "pageToken": page["next"]}})
    return steps


def _thread(thread: Step, video: str, salt: str) -> list[Step]:
    top = _comment(thread["snippet"]["topLevelComment"], video, salt)
    replies = thread.get("replies", {}).get("comments", [])
    if thread["snippet"]["totalReplyCount"] > len(replies):
        return [top, {"resource": "comments", "params": {"parentId": thread["id"]}}]
    return [top, *(_comment(reply, video, salt, thread["id"]) for reply in replies)]


def _comment(resource: Step, video: str, salt: str, parent: str | None = None) -> Step:
    """The row of a comment. `author` is only in it with a salt: the same author then has the same value in all videos."""
    snippet = resource["snippet"]
    # Authors without a channel have none, and neither have those who deleted it.
    channel = (snippet.get("authorChannelId") or {}).get("value")
    author = hmac.new(salt.encode(), channel.encode(), hashlib.sha256).hexdigest()[:32] if salt and channel else None
    return {
        "comment_id": resource["id"],
        "video_id": video,
        "published_at": snippet["publishedAt"],
        "text": snippet["textDisplay"],  # only the author of a comment gets its textOriginal
        "label": None,
        "parent_id": parent,
        "like_count": snippet.get("likeCount"),
        **({"author": author} if salt else {}),
        "fetched_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }


class PartialVideo:
    """The saved progress of an incomplete video: its comments so far, and the pending steps."""

    def __init__(self, video: str, out: Path) -> None:
        self.video = video
        self.comments = out / f".{video}.partial.jsonl"
        self.state = out / f".{video}.state.json"
        self.ids: set[str] = set()
        self.pending: list[Step] = []
        self.resumed = False

    def load(self, limit: int) -> None:
        """Resume from the progress that an earlier run saved, with at most `limit` comments; else start over."""
        if not self.state.exists():
            return self.start_over()
        try:
            state = read_json(self.state)
            os.truncate(self.comments, state["bytes"])  # pads a file that is too short with zeros, which are not JSON
            lines = self.comments.read_bytes().splitlines(keepends=True)[:limit]
            self.ids, self.pending = {json.loads(line)["comment_id"] for line in lines}, state["pending"]
            os.truncate(self.comments, sum(map(len, lines)))
            self.resumed = True
            print(f"{self.video}: resuming after {len(self.ids)} comments", file=sys.stderr)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            print(f"{self.video}: the saved progress is damaged: starting over", file=sys.stderr)
            self.start_over()

    def start_over(self) -> None:
        """Discard the saved progress and begin with the first page."""
        self.delete()
        self.comments.touch()
        self.ids, self.resumed = set(), False
        self.pending = [{"resource": "commentThreads", "params": {"videoId": self.video, "order": "time"}}]

    def save(self, limit: int) -> None:
        """Append the comments at the head of the pending steps to the file, then save the remaining steps."""
        ready = list(takewhile(lambda step: "comment_id" in step, self.pending))
        # Pages shift when new comments are written, so a comment can appear on two pages.
        new = {step["comment_id"]: step for step in ready if step["comment_id"] not in self.ids}
        with self.comments.open("ab") as stream:
            for comment_id, comment in islice(new.items(), limit - len(self.ids)):
                stream.write(json.dumps(comment, ensure_ascii=False).encode() + b"\n")
                self.ids.add(comment_id)
        self.pending = self.pending[len(ready) :]
        write_json(self.state, {"bytes": self.comments.stat().st_size, "pending": self.pending})

    def delete(self) -> None:
        """Delete the hidden files, including temporary ones of a killed run."""
        for path in self.state.parent.glob(f".*{self.video}.*"):
            path.unlink()


def collect_video(
    client: httpx.Client, video: str, out: Path, limit: int, wait: Wait = time.sleep, salt: str = ""
) -> str:
    """Write `<out>/<video>.jsonl`, resuming an earlier run; return a message with the number of comments.

    With a `salt`, each comment has a hash of its author's channel.

    Raises ApiError when YouTube refuses (https://developers.google.com/youtube/v3/docs/errors), CommentwiseError when
    it cannot be reached or the quota is used up; complete pages stay saved.
    """
    final, partial = out / f"{video}.jsonl", PartialVideo(video, out)
    if final.exists():
        partial.delete()  # a run that was killed after the rename left its state
        count = final.read_bytes().count(b"\n")
        return f"{video}: already collected: {count} comments; delete {final} to collect it again"
    partial.load(limit)
    try:
        _read_all(client, partial, limit, salt, wait)
    except ApiError as error:
        if not error.quota_used_up:
            raise
        saved = f"{len(partial.ids)} comments of {video} and all complete videos are saved in {out}"
        way_out = "the quota resets at midnight Pacific time, and the same command resumes"
        raise CommentwiseError(f"the quota of the API key is used up ({error}): {saved}; {way_out}") from error
    os.replace(
        partial.comments, final
    )  # before the state is deleted: without the state, the comments would be discarded
    partial.delete()
    return f"{video}: {len(partial.ids)} comments in {final}"


def _read_all(client: httpx.Client, partial: PartialVideo, limit: int, salt: str, wait: Wait) -> None:
    columns = ("{task.description}", BarColumn(), "{task.completed} comments")
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_interactive) as progress:
        bar = progress.add_task(partial.video, total=limit if limit < sys.maxsize else None)
        while partial.pending and len(partial.ids) < limit:
            progress.update(bar, completed=len(partial.ids))
            try:
                partial.pending[:1] = _read(client, partial.pending[0], partial.video, salt, wait)
                partial.save(limit)
            except ApiError as error:
                if not partial.resumed or "invalidPageToken" not in str(error):
                    raise
                print(f"{partial.video}: the saved page token has expired: starting over", file=sys.stderr)
                partial.start_over()


def collect(
    client: httpx.Client, videos: Iterable[str], out: Path, limit: int, wait: Wait = time.sleep, salt: str = ""
) -> None:
    """Collect several videos; a video that fails does not stop the others.

    Raises CommentwiseError at once for a problem of all videos (quota, key, network), else at the end with the failed
    ones.
    """
    failed = []
    for video in videos:
        try:
            print(collect_video(client, video, out, limit, wait, salt))
        except ApiError as error:
            if KEY_REFUSED.search(str(error)):
                raise CommentwiseError(f"YouTube refuses YOUTUBE_API_KEY ({error}): check it at {KEYS_URL}") from error
            print(f"{video}: {next((ADVICE[name] for name in ADVICE if name in str(error)), error)}", file=sys.stderr)
            failed.append(video)
    if failed:
        raise CommentwiseError(f"not collected: {', '.join(failed)} (see above); all other videos are in {out}")


def _at_least_one(text: str) -> int:
    if not re.fullmatch("0*[1-9][0-9]{0,17}", text):
        raise CommentwiseError(f"--max-comments is {text!r}: give a whole number of 1 or more")
    return int(text)


def _salt() -> str:
    salt = os.environ.get(SALT, "")
    if salt and len(salt) < MIN_SALT:
        raise CommentwiseError(
            f"{SALT} has {len(salt)} characters: give a secret of {MIN_SALT} or more, such as that of `openssl rand -hex 16`"
        )
    return salt


def main() -> None:
    """Collect the videos named on the command line."""
    about = "Collect the comments of YouTube videos. Run the same command again to resume an interrupted collection."
    variables = (
        "Environment variables: YOUTUBE_API_KEY, the API key; YOUTUBE_API_URL, another address of the API; "
        f"{SALT}, a secret with which authors are kept as hashes (without it, they are left out)."
    )
    parser = argparse.ArgumentParser(prog="commentwise collect", description=about, epilog=variables)
    add = parser.add_argument
    add("videos", nargs="+", type=video_id, metavar="VIDEO", help="id or URL; put an id that begins with - after --")
    add("--out", type=Path, default=Path("data/collected"), help="folder for the .jsonl files (default: %(default)s)")
    add("--max-comments", type=_at_least_one, default=sys.maxsize, metavar="N", help="stop each video after N comments")
    args = parser.parse_args()
    salt = _salt()
    try:
        with open_client() as client:
            args.out.mkdir(parents=True, exist_ok=True)
            collect(client, dict.fromkeys(args.videos), args.out, args.max_comments, salt=salt)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise CommentwiseError(f"cannot write {error.filename} ({error.strerror}): give another --out") from error


if __name__ == "__main__":
    run_command(main)

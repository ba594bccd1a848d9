"""Saved YouTube comments as common tools write them, as rows of comments.

- youtube_api: commentThreads and comments of the YouTube Data API v3, as pages or single items
  (https://developers.google.com/youtube/v3/docs/commentThreads)
- yt_dlp: the .info.json of `yt-dlp --write-comments` (https://github.com/yt-dlp/yt-dlp)
- youtube_comment_downloader: its lines (https://github.com/egbertbouman/youtube-comment-downloader)
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

Comment = dict[str, Any]
Dump = Callable[[dict[str, Any]], list[Comment] | None]
"""Turns an object into its comments; None if it is of another form."""


def _comment(text: Any, comment_id: Any, published_at: Any, like_count: Any, parent_id: Any, video_id: Any, author: Any) -> Comment:  # fmt: skip
    """All columns in every row, so that none appears late."""
    return {
        "comment_id": comment_id,
        "text": text,
        "published_at": published_at,
        "like_count": like_count,
        "parent_id": parent_id,
        "video_id": video_id,
        "author": author,
    }


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def youtube_api(value: dict[str, Any]) -> list[Comment] | None:
    """The comments of a page, a thread with its replies, or a single comment."""
    if isinstance(value.get("items"), list):
        pages = [youtube_api(_object(item)) for item in value["items"]]
        return [row for rows in pages for row in (rows or [_comment(*[None] * 7)])]
    snippet = _object(value.get("snippet"))
    top = _object(snippet.get("topLevelComment"))
    if top:
        video = snippet.get("videoId")
        replies = _list(_object(value.get("replies")).get("comments"))
        rows = [_api_comment(top, video), *(_api_comment(_object(reply), video) for reply in replies)]
        return [rows[0] | {"label": value["label"]}, *rows[1:]] if "label" in value else rows
    if "textDisplay" in snippet or "textOriginal" in snippet:
        return [_api_comment(value, None)]
    return None


def _api_comment(comment: dict[str, Any], video: Any) -> Comment:
    snippet = _object(comment.get("snippet"))
    return _comment(
        snippet.get("textOriginal") or snippet.get("textDisplay"),
        comment.get("id"),
        snippet.get("publishedAt"),
        snippet.get("likeCount"),
        snippet.get("parentId"),
        snippet.get("videoId") or video,
        snippet.get("authorDisplayName"),
    )


def yt_dlp(value: dict[str, Any]) -> list[Comment] | None:
    """The comments of a video's .info.json, or a single one of them."""
    if isinstance(value.get("comments"), list):
        video = value.get("id")
        return [_yt_dlp_comment(_object(comment), video) for comment in value["comments"]]
    return [_yt_dlp_comment(value, None)] if "text" in value else None


def _yt_dlp_comment(comment: dict[str, Any], video: Any) -> Comment:
    parent = comment.get("parent")
    return _comment(
        comment.get("text"),
        comment.get("id"),
        _time(comment.get("timestamp")),
        comment.get("like_count"),
        None if parent == "root" else parent,
        video,
        comment.get("author"),
    )


def youtube_comment_downloader(value: dict[str, Any]) -> list[Comment] | None:
    """The comment of a line; columns that were added to it are kept."""
    if "cid" not in value:
        return None
    name = str(value["cid"])
    known = {"cid", "text", "time", "time_parsed", "votes", "author", "channel", "replies", "photo", "heart", "reply", "paid"}  # fmt: skip
    comment = _comment(
        value.get("text"),
        name,
        _time(value.get("time_parsed")),
        _count(value.get("votes")),
        name.partition(".")[0] if "." in name else None,
        None,
        value.get("author"),
    )
    return [comment | {key: each for key, each in value.items() if key not in known}]


def _time(seconds: Any) -> str | None:
    try:
        return datetime.fromtimestamp(float(seconds), UTC).isoformat()
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _count(votes: Any) -> int | None:
    """A number of likes, e.g. "1.2K"."""
    text = str(votes or "0").strip().upper().replace(",", "")
    scale = {"K": 1_000, "M": 1_000_000}.get(text[-1:], 1)
    try:
        return round(float(text.rstrip("KM")) * scale)
    except (ValueError, OverflowError):
        return None


DUMPS: dict[str, Dump] = {
    "youtube_api": youtube_api,
    "yt_dlp": yt_dlp,
    "youtube_comment_downloader": youtube_comment_downloader,
}


def dump_of(value: dict[str, Any]) -> Dump | None:
    """The dump to which a file's first object belongs, None for plain rows."""
    items = _list(value.get("items"))
    if str(value.get("kind", "")).startswith("youtube#comment") or any(
        "topLevelComment" in _object(each.get("snippet")) for each in map(_object, [value, *items[:1]])
    ):
        return youtube_api
    comments = value.get("comments")
    if isinstance(comments, list) and ({"extractor", "webpage_url"} & value.keys() or "parent" in _object((comments or [None])[0])):  # fmt: skip
        return yt_dlp
    return youtube_comment_downloader if {"cid", "text", "votes"} <= value.keys() else None

"""The server's log: events as JSON lines on standard error, never with a comment's text or a key."""

import json
import sys
import time
from typing import Any

_LEVELS = {"info": 0, "warning": 1, "error": 2}
_min_level = 0
_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode


def set_level(level: str) -> None:
    """Leave out events below `level`."""
    global _min_level
    _min_level = _LEVELS[level]


def log(event: str, level: str = "info", **facts: Any) -> None:
    """Write an event with its facts, on one line."""
    if _LEVELS[level] >= _min_level:
        line = {"time": round(time.time(), 3), "level": level, "event": event, **facts}
        sys.stderr.write(_encode(line) + "\n")
        sys.stderr.flush()

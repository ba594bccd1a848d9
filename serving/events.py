"""What happens, as JSON lines on standard error. Never a comment's text, never a key."""

import json
import sys
import time
from typing import Any

_LEVELS = {"info": 0, "warning": 1, "error": 2}
_least = 0
_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode


def set_level(level: str) -> None:
    """Leave out what matters less than `level`."""
    global _least
    _least = _LEVELS[level]


def log(event: str, level: str = "info", **facts: Any) -> None:
    """Write one line."""
    if _LEVELS[level] >= _least:
        line = {"time": round(time.time(), 3), "level": level, "event": event, **facts}
        sys.stderr.write(_encode(line) + "\n")
        sys.stderr.flush()

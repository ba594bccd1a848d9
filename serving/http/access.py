"""Who may ask, and how often.

  python -m commentwise.serving.http.access NAME [--admin]

makes an API key: it prints the key, which the client sends as `Authorization: Bearer KEY`, and the entry for the
server's --api-keys or --api-keys-file, from which the key cannot be found out.
"""

import argparse
import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

_ENTRY = re.compile(r"([\w.@-]{1,64}):([0-9a-f]{64})(:admin)?")
MOST_CALLERS = 10_000
"""Callers whose rates are remembered; beyond, the one seen longest ago is forgotten."""


@dataclass(frozen=True)
class Key:
    """An API key: its owner's name, which goes to the log, and its SHA-256. Keys are random, so no salt is needed."""

    name: str
    digest: bytes
    admin: bool
    """Whether it may have a new bundle loaded."""


def parse_keys(entries: Sequence[str]) -> list[Key]:
    """Read NAME:SHA256 entries. Raises ValueError naming an entry that is none, by its name alone."""
    keys = []
    for entry in entries:
        if (found := _ENTRY.fullmatch(entry)) is None:
            name = entry.partition(":")[0][:20]
            raise ValueError(
                f"the API key entry {name!r}… is not NAME:SHA256: make one with `python -m commentwise.serving.http.access NAME`"
            )
        keys.append(Key(found[1], bytes.fromhex(found[2]), found[3] is not None))
    return keys


def find_key(keys: Sequence[Key], authorization: bytes) -> Key | None:
    """The key that an Authorization header's value holds. How long it takes does not tell how much of a key is right."""
    scheme, _, token = authorization.partition(b" ")
    digest = hashlib.sha256(token.strip()).digest()
    matching = [key for key in keys if hmac.compare_digest(key.digest, digest)]
    return matching[0] if matching and scheme.lower() == b"bearer" else None


class RateLimit:
    """A token bucket per caller (RFC 2697's single rate, one second's worth of burst)."""

    def __init__(self, per_second: float) -> None:
        self._rate = per_second
        self._burst = max(1.0, per_second)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is left, and when that was

    def wait(self, caller: str) -> float:
        """Take one request of `caller`; 0 when it may go on, else the seconds until the next one may."""
        now = time.monotonic()
        left, then = self._buckets.pop(caller, (self._burst, now))
        left = min(self._burst, left + (now - then) * self._rate)
        allowed = left >= 1
        self._buckets[caller] = (left - 1 if allowed else left, now)
        if len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._rate


def main() -> None:
    """Make a key and print it, once, with its entry."""
    parser = argparse.ArgumentParser(
        prog="python -m commentwise.serving.http.access",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help="whose key it is; stands in the log")
    parser.add_argument("--admin", action="store_true", help="it may also have a new bundle loaded")
    arguments = parser.parse_args()
    key = secrets.token_urlsafe(32)
    entry = f"{arguments.name}:{hashlib.sha256(key.encode()).hexdigest()}{':admin' if arguments.admin else ''}"
    try:
        parse_keys([entry])
    except ValueError:
        parser.error(f"{arguments.name!r} is no name: letters, digits, and . _ @ - only, 64 at most")
    print(f"key (for the client, shown this once): {key}\nentry (for the server): {entry}")


if __name__ == "__main__":
    main()

"""API keys and rate limits.

  commentwise keys NAME [--admin]

creates an API key. It prints the key, which the client sends as `Authorization: Bearer KEY`, and the entry for the
server's --api-keys or --api-keys-file. The entry does not reveal the key.
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
MAX_CALLERS = 10_000
"""Maximum number of callers whose rates are kept; beyond it the one seen longest ago is dropped."""


@dataclass(frozen=True)
class Key:
    """An API key: its owner's name, which is logged, and its SHA-256. Keys are random, so they need no salt."""

    name: str
    digest: bytes
    admin: bool
    """True if the key gives access to /admin/."""


def parse_keys(entries: Sequence[str]) -> list[Key]:
    """Read NAME:SHA256 entries. Raises ValueError with the name of an invalid entry, never with the rest of it."""
    keys = []
    for entry in entries:
        if (found := _ENTRY.fullmatch(entry)) is None:
            name = entry.partition(":")[0][:20]
            raise ValueError(f"the API key entry {name!r}… is not NAME:SHA256: create one with `commentwise keys NAME`")
        keys.append(Key(found[1], bytes.fromhex(found[2]), found[3] is not None))
    return keys


def find_key(keys: Sequence[Key], authorization: bytes) -> Key | None:
    """Return the key in an Authorization header's value, in constant time."""
    scheme, _, token = authorization.partition(b" ")
    digest = hashlib.sha256(token.strip()).digest()
    matching = [key for key in keys if hmac.compare_digest(key.digest, digest)]
    return matching[0] if matching and scheme.lower() == b"bearer" else None


class RateLimit:
    """A token bucket per caller (RFC 2697's single rate, with a burst of one second)."""

    def __init__(self, per_second: float) -> None:
        self._rate = per_second
        self._burst = max(1.0, per_second)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, and when

    def wait(self, caller: str) -> float:
        """Count one request of `caller`; return 0 when it is allowed, else the seconds until the next one is."""
        now = time.monotonic()
        left, then = self._buckets.pop(caller, (self._burst, now))
        left = min(self._burst, left + (now - then) * self._rate)
        allowed = left >= 1
        self._buckets[caller] = (left - 1 if allowed else left, now)
        if len(self._buckets) > MAX_CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._rate


def main() -> None:
    """Create a key and print it with its entry."""
    parser = argparse.ArgumentParser(
        prog="commentwise keys",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help="the key's owner, for the log")
    parser.add_argument("--admin", action="store_true", help="the key may also reload the bundle")
    arguments = parser.parse_args()
    key = secrets.token_urlsafe(32)
    entry = f"{arguments.name}:{hashlib.sha256(key.encode()).hexdigest()}{':admin' if arguments.admin else ''}"
    try:
        parse_keys([entry])
    except ValueError:
        parser.error(f"the name is {arguments.name!r}: use letters, digits and . _ @ - only, 64 at most")
    print(f"key (for the client, shown this once): {key}\nentry (for the server): {entry}")


if __name__ == "__main__":
    main()

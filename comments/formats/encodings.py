"""Text encodings: byte-order marks, the likeliest encoding of bytes that are not UTF-8, and the decoding of streams."""

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from commentwise.errors import CommentwiseError

UTF8 = "utf-8"
# UTF-32 first: its mark begins with the one of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_C1 = re.compile("[\x80-\x9f]")


def encoding_of(head: bytes, given: str | None, name: str) -> str:
    """The encoding of a file that begins with `head`: by its byte-order mark, or else the one `given`, or else UTF-8.

    Raises CommentwiseError if there is no such encoding, or the bytes are clearly in another one.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    try:
        encoding = codecs.lookup(given or UTF8).name
    except LookupError:
        raise CommentwiseError(
            f"{given!r} is no known encoding (--encoding, data.encoding): try utf-8 or cp1252"
        ) from None
    if encoding in ("utf-16", "utf-32"):  # without a mark, Python would guess the byte order
        raise CommentwiseError(f"{name} has no byte-order mark: set its encoding to {encoding}-le or {encoding}-be")
    if encoding in (UTF8, "utf-8-sig") and (wide := _wide(head)):
        raise CommentwiseError(f"{name} is not UTF-8: {advice(wide)}")
    return UTF8 if encoding == "utf-8-sig" else encoding


def advice(encoding: str) -> str:
    """The way out where the encoding is another one."""
    return f"set its encoding (--encoding, data.encoding) to {encoding}, which is the likeliest"


def likeliest(content: bytes) -> str:
    """The likeliest encoding of bytes that are not UTF-8.

    cp1252 comes before latin-1, since latin-1 reads the curly quotes and the euro sign of Windows as control characters.

    >>> likeliest(b"don\\x92t")
    'cp1252'
    """
    try:
        content.decode("cp1252")
    except UnicodeDecodeError:
        return _wide(content) or "latin-1"
    return _wide(content) or "cp1252"


def _wide(head: bytes) -> str:
    """The name of UTF-16 without a byte-order mark, if every second byte is mostly zero."""
    pairs = len(head) // 2
    if pairs < 2:
        return ""
    high, low = head[1 : 2 * pairs : 2].count(0), head[0 : 2 * pairs : 2].count(0)
    if max(high, low) < 0.6 * pairs or min(high, low) > 0.2 * pairs:
        return ""
    return "utf-16-le" if high > low else "utf-16-be"


def text_stream(stream: BinaryIO, encoding: str, newline: str) -> io.TextIOWrapper:
    """Decode a stream. Undecodable bytes become surrogates, so that only their row is rejected, except in UTF-16 and 32."""
    errors = "strict" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
    text = io.TextIOWrapper(stream, encoding, errors, newline=newline)
    text._CHUNK_SIZE = 2**18  # type: ignore[attr-defined]  # bytes decoded at once; the default of 8 KiB is slow
    return text


def check_controls(text: str, encoding: str, name: str) -> None:
    """Raise CommentwiseError if text that was read as latin-1 has C1 control characters, which no comment has."""
    if encoding.startswith("iso8859") and (found := _C1.search(text)):
        code = ord(found[0])
        meant = bytes([code]).decode("cp1252", "replace")
        raise CommentwiseError(
            f"{name} is not {encoding}: it holds the control character U+{code:04X}, which is {meant!r} in cp1252: {advice('cp1252')}"
        )


@contextmanager
def decoding(name: str, encoding: str) -> Iterator[None]:
    """Turn errors of decoding into a CommentwiseError of one line."""
    try:
        yield
    except UnicodeError as error:
        raise CommentwiseError(
            f"{name} is not {encoding} ({error}): convert it to UTF-8, or set its encoding (--encoding, data.encoding)"
        ) from None

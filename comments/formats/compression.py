"""Compressed files, told apart by their first bytes, not by their names."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from commentwise.errors import CommentwiseError

SUFFIXES = (".gz", ".zst", ".bz2", ".xz")
HEAD_BYTES = 2**16
"""Bytes at the beginning of a file by which its encoding, format and delimiter are told."""
PIPE_BYTES = 2**12
"""The same for a pipe, whose writer may be slow."""
_ZSTANDARD = b"\x28\xb5\x2f\xfd"


class _Rewound(io.RawIOBase):
    """A stream of which the beginning has been read."""

    def __init__(self, head: bytes, rest: Any) -> None:
        self._head = memoryview(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._head:
            # At most one read, so that what has arrived in a pipe is not held back.
            return int(getattr(self._rest, "readinto1", self._rest.readinto)(buffer))
        size = min(len(buffer), len(self._head))
        buffer[:size] = self._head[:size]
        self._head = self._head[size:]
        return size


class _Zstandard(io.RawIOBase):
    """The content of Zstandard frames. Unlike the package's own reader, it notices that the last one is cut short."""

    def __init__(self, stream: BinaryIO, decompressor: Any) -> None:
        self._stream = stream
        self._decompressor = decompressor
        self._frame: Any = None
        self._content = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._content:
            piece = (self._frame.unused_data if self._frame and self._frame.eof else b"") or self._stream.read(2**17)
            if not piece:
                if self._frame and not self._frame.eof:
                    raise EOFError("it ends within a frame")
                return 0
            if not self._frame or self._frame.eof:
                self._frame = self._decompressor.decompressobj()
            self._content = memoryview(self._frame.decompress(piece))
        size = min(len(buffer), len(self._content))
        buffer[:size] = self._content[:size]
        self._content = self._content[size:]
        return size


def peek(stream: Any, size: int) -> tuple[bytes, BinaryIO]:
    """The first `size` bytes of a stream, or more, and the stream from its beginning."""
    head = b""
    while len(head) < size and (piece := getattr(stream, "read1", stream.read)(HEAD_BYTES)):
        head += piece
    return head, io.BufferedReader(_Rewound(head, stream), 2**18)


def decompressed(stream: Any, name: str, size: int = HEAD_BYTES) -> tuple[bytes, BinaryIO]:
    """The first bytes and the stream of a file's content, decompressed if it is gzip, Zstandard, bzip2 or xz.

    Raises CommentwiseError if it is Zstandard and the package for it is not installed.
    """
    head, whole = peek(stream, size)
    if head.startswith(b"\x1f\x8b"):
        return peek(gzip.GzipFile(fileobj=whole), size)
    if head.startswith(b"BZh"):
        return peek(bz2.BZ2File(whole), size)
    if head.startswith(b"\xfd7zXZ\0"):
        return peek(lzma.LZMAFile(whole), size)
    if head.startswith(_ZSTANDARD):
        try:
            import zstandard
        except ImportError:
            raise CommentwiseError(
                f"{name} is compressed with Zstandard: `pip install zstandard`, or decompress it"
            ) from None
        return peek(_Zstandard(whole, zstandard.ZstdDecompressor()), size)
    return head, whole


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn errors of the file system and of decompression into a CommentwiseError of one line."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
        raise CommentwiseError(f"{name} is a damaged compressed file ({error}): fetch it again") from None
    except OSError as error:
        if error.errno is None:  # bzip2's only error
            raise CommentwiseError(f"{name} is a damaged compressed file ({error}): fetch it again") from None
        raise CommentwiseError(
            f"cannot read {name} ({error.strerror or error}): name a file that can be read"
        ) from None
    except Exception as error:
        if type(error).__name__ == "ZstdError":  # of a package that may not be installed
            raise CommentwiseError(f"{name} is a damaged compressed file ({error}): fetch it again") from None
        raise

"""Messages between the HTTP process and its inference workers, over a Unix socket.

LitServe's own queues pass every message through a third process, which costs more than a comment's tokenisation; this
is a socket between the two that talk. A message is a pickled tuple behind its length, as `multiprocessing.connection`
frames them: the socket lies in a folder that only this user can open, and both ends are this program.
"""

import asyncio
import pickle
import socket
import struct
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

_LENGTH = struct.Struct("!i")


def connect(path: Path) -> Connection:
    """A worker's end of a new connection to the HTTP process that listens at `path`."""
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(str(path))
        return Connection(end.detach())


class Link(asyncio.Protocol):
    """The HTTP process's end."""

    def __init__(self, received: Callable[["Link", Any], None], lost: Callable[["Link"], None]) -> None:
        """`received` is called with each message, `lost` once the worker is gone."""
        self._received = received
        self._lost = lost
        self._buffer = bytearray()

    def send(self, message: Any) -> None:
        """Send a message, in order, without waiting."""
        payload = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._transport.write(_LENGTH.pack(len(payload)) + payload)

    def close(self) -> None:
        """End the connection, which ends the worker."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (asyncio calls it)."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take in bytes (asyncio calls it)."""
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= _LENGTH.size:
            end = start + _LENGTH.size + _LENGTH.unpack_from(self._buffer, start)[0]
            if end > len(self._buffer):
                break
            message = pickle.loads(memoryview(self._buffer)[start + _LENGTH.size : end])
            start = end
            self._received(self, message)
        del self._buffer[:start]

    def connection_lost(self, _: Exception | None) -> None:
        """End (asyncio calls it)."""
        self._lost(self)

"""Connections between the server's processes: a blocking end (Channel), and one for the event loop (Link).

LitServe's own queues pass every message through a third process, which costs more than tokenising a comment; here the
two processes share a socket. A message (see messages.py) is preceded by its length, the framing of
`multiprocessing.connection`. Sockets lie in a folder that only this user can open.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

from commentwise.serving.runtime.messages import Message, decode, encode

_LENGTH = struct.Struct("!i")


class Channel:
    """A blocking end of a connection. It can be passed to a child process."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        """For `multiprocessing.connection.wait`."""

    @classmethod
    def connect(cls, path: Path) -> "Channel":
        """Connect to the process that listens on the Unix socket `path`. Raises OSError when none does."""
        with socket.socket(socket.AF_UNIX) as end:
            end.connect(str(path))
            return cls(Connection(end.detach()))

    @classmethod
    def pair(cls) -> tuple["Channel", "Channel"]:
        """Return both ends of a new connection."""
        one, other = Pipe()
        return cls(one), cls(other)

    def send(self, message: Message) -> None:
        """Send a message. Raises OSError when the other end is closed."""
        self.connection.send_bytes(encode(message))

    def receive(self) -> Message:
        """Wait for the next message. Raises EOFError or OSError when the other end is closed."""
        return decode(self.connection.recv_bytes())

    def has_message(self) -> bool:
        """Return whether `receive` would return, or raise, at once."""
        return self.connection.poll()

    def close(self) -> None:
        """Close this end."""
        self.connection.close()


class Link(asyncio.Protocol):
    """The event loop's end of a connection."""

    def __init__(self, received: Callable[["Link", Message], None], lost: Callable[["Link"], None]) -> None:
        """`received` is called with each message, `lost` once the other end is closed."""
        self._received = received
        self._lost = lost
        self._buffer = bytearray()

    def send(self, message: Message) -> None:
        """Send a message, in order, without waiting."""
        data = encode(message)
        self._transport.write(_LENGTH.pack(len(data)) + data)

    def close(self) -> None:
        """Close the connection; a worker at the other end exits."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport (called by asyncio)."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Handle the messages that are complete (called by asyncio)."""
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= _LENGTH.size:
            end = start + _LENGTH.size + _LENGTH.unpack_from(self._buffer, start)[0]
            if end > len(self._buffer):
                break
            message = decode(memoryview(self._buffer)[start + _LENGTH.size : end])
            start = end
            self._received(self, message)
        del self._buffer[:start]

    def connection_lost(self, _: Exception | None) -> None:
        """Report the end of the connection (called by asyncio)."""
        self._lost(self)

"""Messages through a pipe between the server and a process it has started, which runs the same Python."""

import marshal
import struct
from typing import IO, Any

_LENGTH = struct.Struct("!I")


def send(stream: IO[bytes], message: Any) -> None:
    """Write a message of plain values. Raises OSError when nobody reads any more."""
    body = marshal.dumps(message)
    stream.write(_LENGTH.pack(len(body)) + body)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read the next message; None at the end, also where the sender died in the middle of one."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    body = stream.read(length)
    return marshal.loads(body) if len(body) == length else None

"""The messages between the server's processes: HTTP process, inference workers, supervisor, prediction log writer.

A message is a NamedTuple of plain values. It is encoded with `marshal`, as the number of its type and its fields; both
ends run this same program, so the encoding needs no version. channel.py sends and receives the encoded messages.
(Pickle takes four times as long for a NamedTuple, because it looks the class up by name for each message.)
"""

import marshal
from typing import Any, NamedTuple, TypeAlias


class Work(NamedTuple):
    """HTTP process to worker: classify these comments together."""

    number: int
    """Identifies the work among all that the HTTP process has sent."""
    deadline: float
    """On the clock of time.monotonic, which all processes of a machine share."""
    rows: list[list[int]]
    """The token ids of each comment."""
    texts: list[str]
    """The text of each comment whose language is asked for; empty for the others."""


class Done(NamedTuple):
    """Worker to HTTP process: the results of a Work."""

    number: int
    results: list[list[float] | str] | None
    """Each comment's logits, or the error; None where the deadline had passed before the work began."""
    languages: list[str]
    """The BCP-47 tag of each text that is not empty, else an empty string."""
    seconds: float


class Joined(NamedTuple):
    """Worker to HTTP process, once: the bundle is loaded and the worker takes work."""

    generation: int
    process: int


class Loaded(NamedTuple):
    """Worker to supervisor: the bundle is loaded."""


class LoadFailed(NamedTuple):
    """Worker to supervisor, and supervisor to HTTP process: the bundle cannot be loaded."""

    generation: int
    reason: str


class StartWorkers(NamedTuple):
    """HTTP process to supervisor: start the workers of a bundle."""

    generation: int
    """Workers of one generation run the same bundle; a new bundle is a new generation."""
    folder: str
    bundle_id: str


class RetireWorkers(NamedTuple):
    """HTTP process to supervisor: the workers of this generation end and are not replaced."""

    generation: int


class Stop(NamedTuple):
    """Supervisor to HTTP process: shut down."""


class OpenLog(NamedTuple):
    """HTTP process to log writer, first: the database, and whether texts are kept."""

    url: str
    keep_text: bool


class WriteEntries(NamedTuple):
    """HTTP process to log writer: write these entries."""

    entries: list[tuple[Any, ...]]
    """The fields of LogEntry (serving/log/entry.py)."""


class EntriesWritten(NamedTuple):
    """Log writer to HTTP process: the number of entries written of the last WriteEntries."""

    written: int


Message: TypeAlias = (
    Work
    | Done
    | Joined
    | Loaded
    | LoadFailed
    | StartWorkers
    | RetireWorkers
    | Stop
    | OpenLog
    | WriteEntries
    | EntriesWritten
)
_TYPES: tuple[type[Message], ...] = Message.__args__
_NUMBERS = {message_type: number for number, message_type in enumerate(_TYPES)}


def encode(message: Message) -> bytes:
    """Encode a message.

    >>> decode(encode(LoadFailed(2, "no bundle")))
    LoadFailed(generation=2, reason='no bundle')
    """
    return marshal.dumps((_NUMBERS[type(message)], tuple(message)))


def decode(data: bytes | memoryview) -> Message:
    """Decode a message that `encode` has made."""
    number, fields = marshal.loads(data)
    message: Message = _TYPES[number](*fields)
    return message

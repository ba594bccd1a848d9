"""The recorder of predictions: the server's end of the prediction log.

A request costs an append to a buffer. A thread sends the buffer several times a second to the log writer
(writer.py), and waits until it is in the database. Lost are:

- while the database is away: nothing up to BUFFER_ROWS entries; further ones are dropped and counted;
- when the log writer dies: nothing, and no entry is written twice; its batch goes to the next writer;
- when the server is killed: the entries of the last FLUSH_SECONDS, and those that waited for the database.
"""

import random
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence

from commentwise.comments.traits import unknown_id
from commentwise.errors import CommentwiseError
from commentwise.serving.events import log
from commentwise.serving.log.entry import LogEntry
from commentwise.serving.runtime.channel import Channel
from commentwise.serving.runtime.messages import EntriesWritten, OpenLog, WriteEntries
from commentwise.serving.runtime.metrics import Metrics
from commentwise.serving.runtime.served import Answered, Bundle

BUFFER_ROWS = 10_000
BATCH_ROWS = 500
FLUSH_SECONDS = 0.5
RESTART_SECONDS = 1.0
CLOSE_SECONDS = 5.0


class PredictionLog:
    """The buffer of entries, and the thread that sends them. All methods belong to the event loop, except the thread's."""

    def __init__(self, url: str, keep_text: bool, metrics: Metrics) -> None:
        self._url = url
        self._keep_text = keep_text
        self._metrics = metrics
        self._buffer: deque[LogEntry] = deque()
        self._unknown_ids: dict[str, int | None] = {}
        self._closing = threading.Event()
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="prediction-log")
        self._writer: _WriterProcess | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def add(self, request_id: str, bundle: Bundle, answered: Sequence[Answered]) -> None:
        """Log the answers that `bundle` gave to a request."""
        now = time.time()
        if bundle.bundle_id not in self._unknown_ids:
            self._unknown_ids[bundle.bundle_id] = unknown_id(bundle.tokenizers["right"])
        unknown = self._unknown_ids[bundle.bundle_id]
        for position, text, encoding, answer in answered:
            if len(self._buffer) >= BUFFER_ROWS:
                self._metrics.log_rows.labels("dropped").inc()
                continue
            self._buffer.append(
                LogEntry(
                    id=f"{random.getrandbits(128):032x}",
                    time=now,
                    request_id=request_id,
                    position=position,
                    bundle_id=bundle.bundle_id,
                    text=text,
                    token_ids=encoding.ids,
                    word_ids=encoding.word_ids,
                    unknown_id=unknown,
                    truncated=answer.truncated,
                    language=answer.language,
                    label=answer.label,
                    labels=bundle.labels,
                    probabilities=answer.probabilities,
                    seconds=answer.queue_seconds + answer.inference_seconds,
                )
            )

    def close(self) -> None:
        """Write the buffer, for CLOSE_SECONDS at most, and end the log writer."""
        self._closing.set()
        self._thread.join(CLOSE_SECONDS)
        self._given_up.set()
        if self._buffer:
            log("predictions not logged", "warning", rows=len(self._buffer), reason="the server was stopped")
        if (writer := self._writer) is not None:
            writer.kill()
            writer.wait()

    def _run(self) -> None:
        while not self._closing.wait(FLUSH_SECONDS) or (self._buffer and not self._given_up.is_set()):
            while self._buffer and not self._given_up.is_set():
                batch = [self._buffer[index] for index in range(min(BATCH_ROWS, len(self._buffer)))]
                written = self._write(batch)
                if written is None:  # the writer died; the entries stay in the buffer for the next one
                    self._given_up.wait(RESTART_SECONDS)
                    continue
                for _ in batch:
                    self._buffer.popleft()
                self._metrics.log_rows.labels("written").inc(written)
                self._metrics.log_rows.labels("dropped").inc(len(batch) - written)

    def _write(self, batch: Sequence[LogEntry]) -> int | None:
        """Have the log writer write entries; return the number written, or None where the writer died."""
        try:
            if self._writer is None:
                self._writer = _WriterProcess(self._url, self._keep_text)
            return self._writer.write(batch)
        except (EOFError, OSError):
            if self._writer is not None:
                log("writer of the prediction log died", "error", exit_code=self._writer.wait())
            self._writer = None
            return None


class _WriterProcess:
    """The log writer, connected through its standard input."""

    def __init__(self, url: str, keep_text: bool) -> None:
        """Start the process. Raises OSError where it dies at once."""
        ours, theirs = Channel.pair()
        command = [sys.executable, "-m", "commentwise.serving.log.writer"]
        self._process = subprocess.Popen(command, stdin=theirs.connection.fileno(), stdout=subprocess.DEVNULL)
        theirs.close()
        self._channel = ours
        self._channel.send(OpenLog(url, keep_text))  # not an argument: the URL may hold a password

    def write(self, entries: Sequence[LogEntry]) -> int:
        """Write entries; return the number written. Raises EOFError or OSError when the process dies."""
        self._channel.send(WriteEntries([tuple(entry) for entry in entries]))
        reply = self._channel.receive()
        assert isinstance(reply, EntriesWritten)
        return reply.written

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()

    def wait(self) -> int:
        """Wait until the process has exited, and return its exit code."""
        return self._process.wait()


def check(url: str) -> None:
    """Raise CommentwiseError unless this is the URL of a database that predictions can be logged to.

    The database itself may be away.
    """
    try:
        from commentwise.models.prediction_log import check_url
    except ImportError:
        raise CommentwiseError("--prediction-log needs SQLAlchemy: pip install 'commentwise[log]'") from None
    check_url(url)

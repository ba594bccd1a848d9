"""Handing what was answered to the process that logs it.

A request costs an append to a buffer. A thread takes the buffer several times a second, gives it to the writer
(serving/log/writer.py) and waits until that has it in the database. What is lost:

- nothing while the database is away, up to BUFFER_ROWS rows; what comes beyond is dropped and counted;
- nothing when the writer dies: the batch it had goes to the next one, and no row is written twice;
- when the server itself is killed, the rows of the last FLUSH_SECONDS, and what waited for a database that was away.
"""

import random
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from tokenizers import Encoding

from commentwise.comments.traits import unknown_id
from commentwise.errors import CommentwiseError
from commentwise.serving.events import log
from commentwise.serving.http.context import Exchange
from commentwise.serving.http.refusals import Refusal
from commentwise.serving.runtime.metrics import Metrics
from commentwise.serving.runtime.pipe import receive, send
from commentwise.serving.runtime.served import Bundle, Classified

BUFFER_ROWS = 10_000
BATCH_ROWS = 500
FLUSH_SECONDS = 0.5
RESTART_SECONDS = 1.0
CLOSE_SECONDS = 5.0


class PredictionLog:
    """The server's end of the log. Everything but its thread belongs to the event loop."""

    def __init__(self, url: str, keep_text: bool, metrics: Metrics) -> None:
        self._url = url
        self._keep_text = keep_text
        self._metrics = metrics
        self._buffer: deque[tuple[Any, ...]] = deque()
        self._unknown_ids: dict[str, int | None] = {}
        self._closing = threading.Event()
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="prediction-log")
        self._writer: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def add(
        self,
        exchange: Exchange,
        bundle: Bundle,
        texts: Sequence[str | Refusal],
        encodings: Sequence[Encoding | Refusal],
        answers: Sequence[Classified | Refusal],
    ) -> None:
        """Log a request's answers. A prediction's id is the request's, and its place where there are several."""
        now = time.time()
        if bundle.bundle_id not in self._unknown_ids:
            self._unknown_ids[bundle.bundle_id] = unknown_id(bundle.tokenizers["right"])
        unknown = self._unknown_ids[bundle.bundle_id]
        for position, (text, encoding, answer) in enumerate(zip(texts, encodings, answers, strict=True)):
            if not isinstance(encoding, Encoding) or not isinstance(answer, Classified):
                continue
            if len(self._buffer) >= BUFFER_ROWS:
                self._metrics.log_rows.labels("dropped").inc()
                continue
            self._buffer.append(
                (
                    f"{random.getrandbits(128):032x}",
                    now,
                    exchange.request_id,
                    position,
                    bundle.bundle_id,
                    text,
                    encoding.ids,
                    encoding.word_ids,
                    unknown,
                    answer.truncated,
                    answer.label,
                    bundle.manifest.labels,
                    answer.probabilities,
                    answer.queue_seconds + answer.inference_seconds,
                )
            )

    def close(self) -> None:
        """Write what is buffered, for CLOSE_SECONDS at most, and end the writer."""
        self._closing.set()
        self._thread.join(CLOSE_SECONDS)
        self._given_up.set()
        if self._buffer:
            log("predictions not logged", "warning", rows=len(self._buffer), reason="the server was stopped")
        if self._writer is not None:
            self._writer.kill()
            self._writer.wait()

    def _run(self) -> None:
        while not self._closing.wait(FLUSH_SECONDS) or (self._buffer and not self._given_up.is_set()):
            while self._buffer and not self._given_up.is_set():
                batch = [self._buffer[index] for index in range(min(BATCH_ROWS, len(self._buffer)))]
                written = self._write(batch)
                if written is None:  # it died; the rows stay for the next one
                    self._given_up.wait(RESTART_SECONDS)
                    continue
                for _ in batch:
                    self._buffer.popleft()
                self._metrics.log_rows.labels("written").inc(written)
                self._metrics.log_rows.labels("dropped").inc(len(batch) - written)

    def _write(self, batch: list[tuple[Any, ...]]) -> int | None:
        """Have the writer write rows; how many it wrote, or None where it died."""
        if self._writer is None or self._writer.poll() is not None:
            command = [sys.executable, "-m", "commentwise.serving.log.writer"]
            self._writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            first: list[Any] = [(self._url, self._keep_text)]  # not an argument: it may hold a password
        else:
            first = []
        assert self._writer.stdin is not None
        assert self._writer.stdout is not None
        try:
            for message in (*first, batch):
                send(self._writer.stdin, message)
            written: int | None = receive(self._writer.stdout)
        except OSError:
            written = None
        if written is None:
            log("writer of the prediction log died", "error", exit_code=self._writer.wait())
        return written


def check(url: str) -> None:
    """Raise CommentwiseError unless predictions can be logged to this URL here. The database may be away."""
    try:
        from commentwise.models.prediction_log import check_url
    except ImportError:
        raise CommentwiseError("--prediction-log needs SQLAlchemy: pip install 'commentwise[log]'") from None
    check_url(url)

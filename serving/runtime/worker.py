"""The inference worker: LitServe starts it, it loads the bundle, and it answers token ids with logits.

It reads its work from a socket (see channel.py) with as many threads as it may classify comments at once: each takes
the next piece, runs it, and sends what came out. It ends when the HTTP process has closed the connection.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import litserve
import numpy as np
from litserve.loops.base import LitLoop
from numpy.typing import NDArray

from commentwise.errors import CommentwiseError
from commentwise.models.bundle import Classifier, bundle_id
from commentwise.serving.runtime.channel import connect


@dataclass(frozen=True)
class Assignment:
    """What a worker is to run, and where its work comes from."""

    generation: int
    """Workers of one generation run the same bundle; a new bundle is a new generation."""
    folder: Path
    bundle_id: str
    threads: int
    batch_tokens: int
    cascade: bool
    socket: Path


class BundleAPI(litserve.LitAPI):  # type: ignore[misc]  # LitServe has no types
    """A bundle's graph on one device."""

    def __init__(self, assignment: Assignment, report: Connection) -> None:
        super().__init__(loop=LinkLoop())
        self.assignment = assignment
        self._report = report

    def setup(self, device: str) -> None:
        """Load the bundle, verified and warm, and report None, or the reason why not."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # running requests come first; the closed connection is the end
        kind, _, index = device.partition(":")
        try:
            if bundle_id(self.assignment.folder) != self.assignment.bundle_id:
                raise CommentwiseError(f"the bundle {self.assignment.folder} was replaced: have it loaded anew")
            classifier = Classifier(self.assignment.folder, kind, 1, int(index or 0), self.assignment.cascade)
            self._engine = classifier.engine
            self._engine.warm_up(warm_shapes(classifier.manifest.max_tokens, self.assignment.batch_tokens))
        except (CommentwiseError, OSError) as error:
            self._report.send(str(error))
            sys.exit(1)
        self._report.send(None)

    def predict(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits of shape (rows, labels)."""
        return self._engine.batch_logits(rows)


def warm_shapes(max_tokens: int, batch_tokens: int) -> list[tuple[int, int]]:
    """Shapes (rows, tokens) like those to come: short to long, full batches where there are any."""
    widths = sorted({min(width, max_tokens) for width in (8, 16, 32, 64, 128, 256, 512, max_tokens)})
    return [(max(1, batch_tokens // width), width) for width in widths]


class LinkLoop(LitLoop):  # type: ignore[misc]
    """What a worker does once its bundle is loaded, in place of LitServe's loop over its queue."""

    def run(self, lit_api: BundleAPI, *_: Any) -> None:
        """Work until there is no more work to come, and end the process."""
        try:
            connection = connect(lit_api.assignment.socket)
            connection.send((lit_api.assignment.generation, os.getpid()))
        except OSError:
            sys.exit(0)  # the HTTP process has ended meanwhile
        reading, writing = threading.Lock(), threading.Lock()
        threads = [
            threading.Thread(target=_work, args=(lit_api, connection, reading, writing))
            for _ in range(lit_api.assignment.threads)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sys.exit(0)


def _work(lit_api: BundleAPI, connection: Connection, reading: threading.Lock, writing: threading.Lock) -> None:
    while True:
        try:
            with reading:
                number, deadline, rows = connection.recv()
            start = time.perf_counter()
            # Nobody waits for it any more, though it was on its way already.
            answers = None if time.monotonic() > deadline else _answers(lit_api, rows)
            with writing:
                connection.send((number, answers, time.perf_counter() - start))
        except (EOFError, OSError):
            return


def _answers(lit_api: BundleAPI, rows: Sequence[Sequence[int]]) -> list[list[float] | str]:
    """Each row's logits, or why there are none. A row that fails does not take the others with it."""
    try:
        return list(lit_api.predict(rows).tolist())
    except Exception as error:
        if len(rows) == 1:
            return [str(error)]
        return [_answers(lit_api, [row])[0] for row in rows]

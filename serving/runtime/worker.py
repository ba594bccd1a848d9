"""The inference worker: a process, started through LitServe, that loads the bundle and turns token ids into logits.

It also tells the languages of texts: that takes most of the time that the HTTP process has for a request. It receives work
over a socket (see channel.py) with as many threads as it may run pieces of work at once. It exits when the HTTP process
closes the connection.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import litserve
import numpy as np
from litserve.loops.base import LitLoop
from numpy.typing import NDArray

from commentwise.comments.language import language_of
from commentwise.errors import CommentwiseError
from commentwise.models.bundle import Classifier, bundle_id
from commentwise.serving.runtime.channel import Channel
from commentwise.serving.runtime.messages import Done, Joined, Loaded, LoadFailed, StartWorkers, Work


@dataclass(frozen=True)
class Assignment:
    """The bundle that a worker runs, how it runs it, and the socket that its work comes from."""

    order: StartWorkers
    threads: int
    batch_tokens: int
    cascade: bool
    socket: Path


class BundleAPI(litserve.LitAPI):  # type: ignore[misc]  # LitServe has no types
    """A bundle's graph on one device."""

    def __init__(self, assignment: Assignment, report: Channel) -> None:
        """`report` is the channel to the supervisor."""
        super().__init__(loop=LinkLoop())
        self.assignment = assignment
        self._report = report

    def setup(self, device: str) -> None:
        """Load the bundle, verify it and warm it up, and report the outcome to the supervisor."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # running requests finish first; the worker exits with its connection
        kind, _, index = device.partition(":")
        order = self.assignment.order
        folder = Path(order.folder)
        try:
            if bundle_id(folder) != order.bundle_id:
                raise CommentwiseError(f"the bundle {folder} was replaced: reload it")
            classifier = Classifier(folder, kind, 1, int(index or 0), self.assignment.cascade)
            self._engine = classifier.engine
            self._engine.warm_up(warm_shapes(classifier.manifest.max_tokens, self.assignment.batch_tokens))
        except (CommentwiseError, OSError) as error:
            self._report.send(LoadFailed(order.generation, str(error)))
            sys.exit(1)
        self._report.send(Loaded())

    def predict(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits of shape (rows, labels)."""
        return self._engine.batch_logits(rows)


def warm_shapes(max_tokens: int, batch_tokens: int) -> list[tuple[int, int]]:
    """Typical input shapes (rows, tokens), from short to long; full batches where comments are batched."""
    widths = sorted({min(width, max_tokens) for width in (8, 16, 32, 64, 128, 256, 512, max_tokens)})
    return [(max(1, batch_tokens // width), width) for width in widths]


class LinkLoop(LitLoop):  # type: ignore[misc]
    """The worker's loop, in place of LitServe's loop over its queue."""

    def run(self, lit_api: BundleAPI, *_: Any) -> None:
        """Work until the HTTP process closes the connection, then exit the process."""
        try:
            channel = Channel.connect(lit_api.assignment.socket)
            channel.send(Joined(lit_api.assignment.order.generation, os.getpid()))
        except OSError:
            sys.exit(0)  # the HTTP process has ended meanwhile
        reading, writing = threading.Lock(), threading.Lock()
        threads = [
            threading.Thread(target=_work, args=(lit_api, channel, reading, writing))
            for _ in range(lit_api.assignment.threads)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sys.exit(0)


def _work(lit_api: BundleAPI, channel: Channel, reading: threading.Lock, writing: threading.Lock) -> None:
    while True:
        try:
            with reading:
                work = channel.receive()
            assert isinstance(work, Work)
            start = time.perf_counter()
            if time.monotonic() > work.deadline:  # it may pass while the work is in the socket
                done = Done(work.number, None, [], 0.0)
            else:
                results = _results(lit_api, work.rows)
                languages = [language_of(text) if text else "" for text in work.texts]
                done = Done(work.number, results, languages, time.perf_counter() - start)
            with writing:
                channel.send(done)
        except (EOFError, OSError):
            return


def _results(lit_api: BundleAPI, rows: Sequence[Sequence[int]]) -> list[list[float] | str]:
    """Each row's logits, or its error. A row that fails does not affect the others."""
    try:
        return list(lit_api.predict(rows).tolist())
    except Exception as error:
        if len(rows) == 1:
            return [str(error)]
        return [_results(lit_api, [row])[0] for row in rows]

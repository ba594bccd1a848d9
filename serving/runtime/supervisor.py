"""The supervisor of the inference workers: starts them, replaces those that die, ends those of a retired bundle.

It runs in the main process. The HTTP process asks for a new bundle's workers over a channel.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import forkserver as forkserver
from multiprocessing import parent_process
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from commentwise.errors import CommentwiseError
from commentwise.serving.events import log
from commentwise.serving.runtime.channel import Channel
from commentwise.serving.runtime.messages import LoadFailed, Message, RetireWorkers, StartWorkers

MAX_PAUSE = 30.0
"""Maximum seconds between two attempts to replace a worker that keeps dying."""
STEADY_SECONDS = 10.0
"""A worker that lived this long is replaced at once."""

Launch = Callable[[int, StartWorkers, Channel], BaseProcess]
"""Starts worker number N of an order, which reports over the channel."""


@dataclass
class _Worker:
    """A worker that is kept alive."""

    order: StartWorkers
    number: int
    process: BaseProcess
    report: Channel
    started: float
    pause: float = 0.0


class Supervisor:
    """Keeps `count` workers alive for each order."""

    def __init__(self, count: int, launch: Launch) -> None:
        self._count = count
        self._launch = launch
        self._workers: list[_Worker] = []
        self._due: list[tuple[float, _Worker]] = []
        self._stopping = threading.Event()

    def start(self, order: StartWorkers) -> None:
        """Start the workers of an order."""
        for number in range(self._count):
            self._workers.append(self._start(order, number, 0.0))

    def wait_until_loaded(self, http: BaseProcess) -> None:
        """Wait until the first workers have loaded their bundle. Raises CommentwiseError with the reason if one cannot."""
        for worker in self._workers:
            if worker.report.connection in wait([worker.report.connection, http.sentinel]):
                if failure := _failure(worker):
                    raise CommentwiseError(failure.reason)
            else:
                raise CommentwiseError("the HTTP process died while starting: fix the error above")

    def watch(self, control: Channel) -> None:
        """Replace workers that die, and carry out the HTTP process's orders, until stopped."""
        while not self._stopping.is_set():
            pause = min((due for due, _ in self._due), default=time.monotonic() + 1) - time.monotonic()
            ready = wait([control.connection, *self._watched()], max(0.0, min(1.0, pause)))
            if self._stopping.is_set():
                return
            if control.connection in ready:
                try:
                    self._handle(control.receive())
                except (EOFError, OSError):
                    return  # the HTTP process has died; the server's main thread notices
            self._check(control)

    def stop(self) -> None:
        """Stop replacing workers."""
        self._stopping.set()

    def processes(self) -> list[BaseProcess]:
        """Return the workers' processes."""
        return [worker.process for worker in self._workers]

    def _watched(self) -> Iterator[Any]:
        for worker in self._workers:
            yield worker.process.sentinel
            if not worker.report.connection.closed:
                yield worker.report.connection

    def _handle(self, message: Message) -> None:
        match message:
            case StartWorkers():
                self.start(message)
            case RetireWorkers(generation):
                for worker in [worker for worker in self._workers if worker.order.generation == generation]:
                    self._workers.remove(worker)
                    threading.Thread(target=_end, args=(worker.process,)).start()
                self._due = [entry for entry in self._due if entry[1].order.generation != generation]

    def _check(self, control: Channel) -> None:
        """Report workers that could not load their bundle, and replace those that died once their pause is over."""
        for worker in list(self._workers):
            if not worker.report.connection.closed and worker.report.has_message() and (failure := _failure(worker)):
                log("worker failed", "error", reason=failure.reason)
                control.send(failure)
            if not worker.process.is_alive():
                worker.process.join()
                self._workers.remove(worker)
                lived = time.monotonic() - worker.started
                worker.pause = 0.0 if lived > STEADY_SECONDS else min(MAX_PAUSE, 2 * worker.pause or 0.1)
                log("worker died", "error", process=worker.process.pid, exit_code=worker.process.exitcode)
                self._due.append((time.monotonic() + worker.pause, worker))
        now = time.monotonic()
        for entry in [entry for entry in self._due if entry[0] <= now]:
            self._due.remove(entry)
            self._workers.append(self._start(entry[1].order, entry[1].number, entry[1].pause))

    def _start(self, order: StartWorkers, number: int, pause: float) -> _Worker:
        ours, theirs = Channel.pair()
        process = self._launch(number, order, theirs)
        theirs.close()
        return _Worker(order, number, process, ours, time.monotonic(), pause)


def _failure(worker: _Worker) -> LoadFailed | None:
    """Receive a worker's one report; return it where the bundle could not be loaded."""
    try:
        message = worker.report.receive()
    except (EOFError, OSError):
        message = LoadFailed(
            worker.order.generation,
            "an inference process died while it loaded the bundle: check for lack of memory, and the errors above",
        )
    worker.report.close()
    return message if isinstance(message, LoadFailed) else None


def _end(process: BaseProcess) -> None:
    """Wait for a worker whose connection was closed to exit; kill it if it does not."""
    process.join(STEADY_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()


def end_on_signals() -> None:
    """Make SIGTERM and Ctrl-C raise KeyboardInterrupt, on which LitServe shuts down; child processes exit."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end_once)


def _end_once(_: int, __: FrameType | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a second signal must not interrupt the shutdown
    if parent_process() is None:
        raise KeyboardInterrupt
    raise SystemExit(0)


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """Defer signals that end the server; processes started inside the context never receive them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def prepare_to_fork() -> None:
    """Start the fork server, from which workers are forked, with what workers share; it loads in the background.

    A worker then starts in a tenth of a second instead of two, also when it replaces one that died.
    """
    names = ("runtime.worker", "runtime.preloaded", "settings")
    forkserver.set_forkserver_preload([f"commentwise.serving.{name}" for name in names])
    with signals_blocked():
        forkserver.ensure_running()

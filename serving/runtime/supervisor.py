"""The inference processes: started, replaced when they die, and let go when their bundle is retired.

It lives in the main process. The HTTP process asks it over a pipe for workers with a new bundle.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import Pipe, parent_process
from multiprocessing import forkserver as forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

from commentwise.errors import CommentwiseError
from commentwise.serving.events import log

LONGEST_PAUSE = 30.0
"""Seconds between two attempts to replace a worker that keeps dying."""
STEADY_SECONDS = 10.0
"""A worker that lived so long is replaced at once."""

Launch = Callable[[int, "Order", Connection], BaseProcess]


@dataclass(frozen=True)
class Order:
    """A bundle that workers are to run."""

    generation: int
    folder: Path
    bundle_id: str


@dataclass
class _Place:
    """A worker that should be there."""

    order: Order
    number: int
    process: BaseProcess
    report: Connection
    started: float
    pause: float = 0.0


class Supervisor:
    """Keeps `count` workers alive for each order."""

    def __init__(self, count: int, launch: Launch) -> None:
        self._count = count
        self._launch = launch
        self._places: list[_Place] = []
        self._due: list[tuple[float, _Place]] = []
        self._stopping = threading.Event()

    def start(self, order: Order) -> None:
        """Start the workers of an order."""
        for number in range(self._count):
            self._places.append(self._place(order, number, 0.0))

    def wait_until_loaded(self, http: BaseProcess) -> None:
        """Wait until the first workers have loaded their bundle. Raises CommentwiseError with the reason if one cannot."""
        for place in self._places:
            if place.report in wait([place.report, http.sentinel]):
                if reason := _received(place.report):
                    raise CommentwiseError(reason)
            else:
                raise CommentwiseError("the HTTP process died while starting; its reason stands above")

    def watch(self, control: Connection) -> None:
        """Replace workers that die, and do what the HTTP process asks for, until told to stop."""
        while not self._stopping.is_set():
            pause = min((due for due, _ in self._due), default=time.monotonic() + 1) - time.monotonic()
            ready = wait([control, *self._watched()], max(0.0, min(1.0, pause)))
            if self._stopping.is_set():
                return
            if control in ready:
                try:
                    self._obey(control.recv())
                except (EOFError, OSError):
                    return  # the HTTP process is gone, which its own watcher sees
            self._look(control)

    def stop(self) -> None:
        """Replace nobody any more."""
        self._stopping.set()

    def processes(self) -> list[BaseProcess]:
        """The workers there are."""
        return [place.process for place in self._places]

    def _watched(self) -> Iterator[Any]:
        for place in self._places:
            yield place.process.sentinel
            if not place.report.closed:
                yield place.report

    def _obey(self, message: tuple[Any, ...]) -> None:
        match message:
            case ("start", generation, folder, bundle_id):
                self.start(Order(generation, folder, bundle_id))
            case ("retire", generation):
                for place in [place for place in self._places if place.order.generation == generation]:
                    self._places.remove(place)
                    threading.Thread(target=_end, args=(place.process,)).start()
                self._due = [entry for entry in self._due if entry[1].order.generation != generation]

    def _look(self, control: Connection) -> None:
        for place in list(self._places):
            if not place.report.closed and place.report.poll() and (reason := _received(place.report)):
                log("worker failed", "error", reason=reason)
                control.send(("failed", place.order.generation, reason))
            if not place.process.is_alive():
                place.process.join()
                self._places.remove(place)
                lived = time.monotonic() - place.started
                place.pause = 0.0 if lived > STEADY_SECONDS else min(LONGEST_PAUSE, 2 * place.pause or 0.1)
                log("worker died", "error", process=place.process.pid, exit_code=place.process.exitcode)
                self._due.append((time.monotonic() + place.pause, place))
        now = time.monotonic()
        for entry in [entry for entry in self._due if entry[0] <= now]:
            self._due.remove(entry)
            self._places.append(self._place(entry[1].order, entry[1].number, entry[1].pause))

    def _place(self, order: Order, number: int, pause: float) -> _Place:
        report, sender = Pipe(duplex=False)
        process = self._launch(number, order, sender)
        sender.close()
        return _Place(order, number, process, report, time.monotonic(), pause)


def _received(report: Connection) -> str | None:
    """What a worker reports: nothing, or why it cannot work."""
    try:
        reason: str | None = report.recv()
    except EOFError:
        reason = (
            "an inference process died while it loaded the bundle: see whether memory runs out, and what stands above"
        )
    report.close()
    return reason


def _end(process: BaseProcess) -> None:
    """See a worker off whose connection was closed."""
    process.join(STEADY_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()


def end_on_signals() -> None:
    """Have SIGTERM and Ctrl-C raise KeyboardInterrupt, on which LitServe ends in good order; in child processes, exit."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end_once)


def _end_once(_: int, __: FrameType | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a second signal must not cut the ending short
    if parent_process() is None:
        raise KeyboardInterrupt
    raise SystemExit(0)


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """Put signals that end the server off; processes started meanwhile never get them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def prepare_to_fork() -> None:
    """Start the process that workers are forked from, with all they import; it loads while this one does.

    A worker then starts in a tenth of a second instead of two, also when it replaces one that died.
    """
    forkserver.set_forkserver_preload(["commentwise.serving.runtime.worker", "commentwise.serving.settings"])
    with signals_blocked():
        forkserver.ensure_running()

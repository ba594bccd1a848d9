"""A load generator with a low CPU cost, since it shares the cores with the server that it measures.

  python -m benchmarks.servers.load < plan.json > report.json

Closed loop: every connection sends its next request as soon as the last one is answered. Open loop: requests are due at
a constant rate, independent of the answers, and latency counts from the time a request was due. A server that stalls is
thus charged for all requests that arrive meanwhile, which avoids coordinated omission.

It exists because no common tool does both with many different bodies: wrk, hey, ab and h2load have no open loop that
counts from the due time, and all but wrk send a single body; Debian 12 packages neither wrk2 nor oha nor vegeta. On
uvloop, with requests built in advance, a closed loop gave the same figures as wrk for nearly the same CPU time, most of
it the kernel's. Each report states the generator's own CPU time.
"""

import asyncio
import ctypes
import gc
import itertools
import json
import os
import re
import struct
import subprocess
import sys
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import cast
from urllib.parse import urlsplit

import numpy as np
import uvloop

from benchmarks.latency import percentiles_ms
from benchmarks.servers.result import Load
from commentwise.errors import CommentwiseError, run_command

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


@dataclass(frozen=True)
class Plan:
    """One measurement."""

    url: str
    """Address to POST to, e.g. http://127.0.0.1:8000/analyze."""
    bodies: list[str]
    """JSON texts, sent in turn, over and over."""
    seconds: float
    """Seconds in which requests are sent; answers are awaited for up to `patience` longer."""
    connections: int
    """Closed loop: their number. Open loop: their maximum; requests that are due while all are busy wait."""
    rate: float | None = None
    """Requests per second of an open loop; None for a closed loop."""
    good_within: float = 1.0
    """Seconds after the due time within which an answer counts as good."""

    @property
    def patience(self) -> float:
        """Seconds after which answers are given up: enough for a queue that grew at three times the server's speed."""
        return 10 + 3 * self.seconds


def generate(plan: Plan) -> Load:
    """Run a plan in a separate process and return its report.

    Raises CommentwiseError if the generator itself fails.
    """
    command = [sys.executable, "-m", "benchmarks.servers.load"]
    finished = subprocess.run(command, input=json.dumps(asdict(plan)), capture_output=True, text=True, check=False)
    if finished.returncode:
        raise CommentwiseError(f"the load generator failed: {finished.stderr.strip()}")
    return cast(Load, json.loads(finished.stdout))


def main() -> None:
    """Run the plan on standard input and write its report to standard output."""
    plan = Plan(**json.load(sys.stdin))
    gc.disable()  # avoids pauses; a measurement leaves little garbage
    json.dump(uvloop.run(_Load(plan).run()), sys.stdout)


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request in flight."""

    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._answer = b""
        self.due: float | None = None
        """Due time of the request in flight; None while the connection is free."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._load.use(self)

    def send(self, request: bytes, due: float) -> None:
        self.due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, blank, body = self._answer.partition(b"\r\n\r\n")
        if not blank:
            return
        length = _CONTENT_LENGTH.search(head)
        if length is None:
            self._load.give_up(
                "the server answers without Content-Length: the generator needs it to find the end of an answer"
            )
        elif len(body) >= int(length[1]) and self.due is not None:
            due, self.due, self._answer = self.due, None, b""
            self._load.answered(due, int(head[9:12]))
            if _CLOSES.search(head):
                self._transport.close()
            else:
                self._load.use(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost(self)


class _Load:
    """The requests of one plan: due times, connections and answers."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._url = urlsplit(plan.url)
        self._requests = itertools.cycle([self._request(body.encode()) for body in plan.bodies])
        self._waiting: deque[float] = deque()  # due times of requests without a connection
        self._free: list[_Connection] = []  # used last in, first out, so that idle ones may time out
        self._connections = 0
        self._total = int((plan.rate or 0) * plan.seconds)  # requests of an open loop
        self._due = self._in_flight = self._lost = self._refused = 0
        self._answers: list[tuple[float, float, int]] = []  # due, done, status
        self._late: list[float] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def _request(self, body: bytes) -> bytes:
        lines = [
            f"POST {self._url.path} HTTP/1.1",
            f"Host: {self._url.netloc}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        if (
            self._plan.rate is not None
        ):  # later answers are not good; a server that supports the header may refuse early
            lines.append(f"Request-Timeout: {self._plan.good_within}")
        return "\r\n".join([*lines, "", ""]).encode() + body

    async def run(self) -> Load:
        loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[None] = loop.create_future()
        loop.set_exception_handler(lambda _, context: self.give_up(context.get("exception") or context["message"]))
        cpu = time.process_time()
        self._start = time.perf_counter()
        self._end = self._start + self._plan.seconds
        loop.call_later(self._plan.seconds + 0.01, self._finish_if_done)
        if self._plan.rate is None:
            self._connect(self._plan.connections)
        else:
            timer = _timer(1 / self._plan.rate)
            loop.add_reader(timer, self._pace, timer)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._finished, self._plan.seconds + self._plan.patience)
        return self._report(time.process_time() - cpu)

    def _pace(self, timer: int) -> None:
        """Queue the requests that have become due and assign connections to them."""
        assert self._plan.rate is not None
        os.read(timer, 8)
        now = time.perf_counter()
        while self._due < self._total and (due := self._start + (self._due + 1) / self._plan.rate) <= now:
            self._due += 1
            self._waiting.append(due)
        while self._waiting and self._free:
            self.use(self._free.pop())
        opening = len(self._tasks)
        self._connect(min(len(self._waiting) - opening, self._plan.connections - self._connections))

    def _connect(self, count: int) -> None:
        for _ in range(count):
            self._connections += 1
            task = asyncio.ensure_future(self._open())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self) -> None:
        try:
            host, port = self._url.hostname or "", self._url.port or 80
            await asyncio.get_running_loop().create_connection(lambda: _Connection(self), host, port)
        except OSError:
            self._refused += 1
            self._connections -= 1

    def use(self, connection: _Connection) -> None:
        """Send the next due request, if there is one, over a free connection."""
        now = time.perf_counter()
        if self._plan.rate is None and now < self._end:
            self._due += 1
            self._waiting.append(now)
        if not self._waiting:
            self._free.append(connection)
            return
        due = self._waiting.popleft()
        self._late.append(now - due)
        self._in_flight += 1
        connection.send(next(self._requests), due)

    def answered(self, due: float, status: int) -> None:
        """Record an answer."""
        self._in_flight -= 1
        self._answers.append((due, time.perf_counter(), status))
        self._finish_if_done()

    def lost(self, connection: _Connection) -> None:
        """Record that the server closed a connection, possibly with a request in flight."""
        self._connections -= 1
        if connection in self._free:
            self._free.remove(connection)
        if connection.due is not None:
            self._lost += 1
            self._in_flight -= 1
            self._finish_if_done()
        if self._plan.rate is None and time.perf_counter() < self._end:
            self._connect(1)

    def give_up(self, reason: object) -> None:
        """End the measurement with an error."""
        if not self._finished.done():
            self._finished.set_exception(CommentwiseError(str(reason)))

    def _finish_if_done(self) -> None:
        over = time.perf_counter() >= self._end and self._due >= self._total
        if over and not self._waiting and not self._in_flight and not self._finished.done():
            self._finished.set_result(None)

    def _report(self, cpu: float) -> Load:
        due, done, status = (np.array(column) for column in zip(*self._answers, strict=True)) if self._answers else [np.empty(0)] * 3  # fmt: skip
        accepted = status == 200
        return {
            "due": self._due,
            "statuses": {str(code): count for code, count in sorted(Counter(status.astype(int).tolist()).items())},
            "lost": self._lost,
            "refused": self._refused,
            "unanswered": self._due - self._lost - len(self._answers),
            "accepted_per_second": round(float((accepted & (done <= self._end)).sum()) / self._plan.seconds, 2),
            "good_per_second": round(
                float((done - due <= self._plan.good_within)[accepted].sum()) / self._plan.seconds, 2
            ),
            "latency_ms": percentiles_ms(1000 * (done - due)[accepted]),
            "sent_late_ms": percentiles_ms(1000 * np.array(self._late)),
            "generator_cpu_us_per_request": round(1e6 * cpu / max(1, len(self._answers)), 1),
        }


def _timer(seconds: float) -> int:
    """Return a Linux timerfd that becomes readable every `seconds`.

    The timers of event loops and epoll have a resolution of a millisecond, which would distort the latencies.
    """
    libc = ctypes.CDLL(None)  # os.timerfd_create exists from Python 3.13 on
    timer = int(libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK))
    whole, nanoseconds = divmod(round(1e9 * seconds), 10**9)
    libc.timerfd_settime(timer, 0, struct.pack("4l", whole, nanoseconds, whole, nanoseconds), None)
    return timer


if __name__ == "__main__":
    run_command(main)

"""Which comment runs when, and on which worker: the one owner of the queue.

All of it happens in the event loop of the HTTP process, so nothing here needs a lock. A comment goes to a worker the
moment one has room. On the CPU each goes alone; on a GPU what waits when the device becomes free goes together, up to
a budget of tokens (as in Hugging Face's Text Embeddings Inference, `core/src/queue.rs`). Nothing ever waits for a
batch to fill.
"""

import asyncio
import itertools
import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from commentwise.serving.runtime.channel import Link
from commentwise.serving.runtime.metrics import Metrics

MOST_PADDING = 0.1
"""Share of a batch's tokens that may be padding."""


class Overloaded(Exception):
    """The queue is full. `retry_after` is about how many seconds it takes to empty."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("too many comments are waiting")
        self.retry_after = retry_after


class WorkerLost(Exception):
    """The worker that ran a comment died."""


class InferenceFailed(Exception):
    """The model could not answer a comment."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A comment's logits, and the seconds it waited and ran."""

    logits: list[float]
    queue_seconds: float
    inference_seconds: float


class Job:
    """A comment on its way."""

    __slots__ = ("answer", "deadline", "queued", "row", "sent", "waiting")

    def __init__(self, row: list[int], deadline: float) -> None:
        self.row = row
        self.deadline = deadline
        """On the clock of time.monotonic, which all processes of a machine share."""
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.waiting = 0
        """How many requests still want it. At 0 it is not run any more."""
        self.queued = time.perf_counter()
        self.sent = 0.0


class Worker:
    """What the scheduler knows of a worker."""

    def __init__(self, link: Link, process: int) -> None:
        self.link = link
        self.process = process
        self.running: dict[int, list[Job]] = {}


class Scheduler:
    """The queue of one bundle, and its workers."""

    def __init__(self, room: int, threads: int, max_queue: int, batch_tokens: int, metrics: Metrics) -> None:
        """`room`: pieces of work that a worker is given at once, of which it runs `threads`. `batch_tokens`: 0 for one
        comment per piece.

        At most `max_queue` comments wait.
        """
        self.workers: list[Worker] = []
        self.waiting: deque[Job] = deque()
        self.last_answer = -math.inf
        """When the model answered last, on the clock of time.monotonic."""
        self._room = room
        self._threads = threads
        self._max_queue = max_queue
        self._batch_tokens = batch_tokens
        self._metrics = metrics
        self._numbers = itertools.count()
        self._seconds_per_comment = 0.01
        self._abandoned = 0

    def check_room(self, comments: int, deadline: float) -> None:
        """Raise Overloaded when so many comments more are too many, or would wait for half of the time they have.

        `deadline` is on the clock of time.monotonic. The other half is for what the estimate of the wait leaves out.
        """
        if not self._has_room(comments, deadline):
            if self._abandoned:
                self._forget_abandoned()
            if not self._has_room(comments, deadline):
                raise Overloaded(max(1, math.ceil(self._wait())))

    def _has_room(self, comments: int, deadline: float) -> bool:
        longest = (deadline - time.monotonic()) / 2
        return len(self.waiting) + comments <= self._max_queue and self._wait() <= longest

    def _wait(self) -> float:
        """About how many seconds a comment waits that comes now."""
        return len(self.waiting) * self._seconds_per_comment / (max(1, len(self.workers)) * self._threads)

    def submit(self, job: Job, first: bool = False) -> None:
        """Run a job as soon as there is room; `first` passes those that wait."""
        if first:
            self.waiting.appendleft(job)
        else:
            self.waiting.append(job)
        self._hand_out()

    def release(self, job: Job) -> None:
        """Note that a request does not want a job any more."""
        job.waiting -= 1
        if not job.waiting and not job.answer.done():
            self._abandoned += 1

    def add(self, link: Link, process: int) -> None:
        """Take in a worker that has loaded the bundle."""
        self.workers.append(Worker(link, process))
        self._hand_out()

    def remove(self, link: Link) -> None:
        """Let go of a worker that is gone; what it ran is lost."""
        for worker in [worker for worker in self.workers if worker.link is link]:
            self.workers.remove(worker)
            for job in itertools.chain.from_iterable(worker.running.values()):
                _fail(job, WorkerLost(f"the inference process {worker.process} died while it ran this"))

    def take(self, link: Link, message: Any) -> None:
        """Take in a worker's answer to a piece of work."""
        number, answers, seconds = message
        (worker,) = (worker for worker in self.workers if worker.link is link)
        jobs = worker.running.pop(number)
        if answers is None:
            answers = [TimeoutError()] * len(jobs)
        else:
            self.last_answer = time.monotonic()
            self._seconds_per_comment += 0.05 * (seconds / len(jobs) - self._seconds_per_comment)
            self._metrics.batch(jobs, seconds)
        for job, answer in zip(jobs, answers, strict=True):
            if isinstance(answer, TimeoutError):
                _fail(job, answer)
            elif isinstance(answer, str):
                _fail(job, InferenceFailed(answer))
            elif not job.answer.done():
                job.answer.set_result(Answer(answer, job.sent - job.queued, seconds))
        self._hand_out()

    def close(self) -> None:
        """End the workers."""
        for worker in list(self.workers):
            worker.link.close()

    def _hand_out(self) -> None:
        while self.waiting and self.workers:
            worker = min(self.workers, key=lambda worker: len(worker.running))
            if len(worker.running) >= self._room or not (jobs := self._next()):
                return
            number = next(self._numbers)
            worker.running[number] = jobs
            now = time.perf_counter()
            for job in jobs:
                job.sent = now
            worker.link.send((number, max(job.deadline for job in jobs), [job.row for job in jobs]))

    def _next(self) -> list[Job]:
        if self._batch_tokens:
            self._forget_abandoned()
            if not self.waiting:
                return []
            batch = choose_batch(self.waiting, self._batch_tokens)
            chosen = set(map(id, batch))
            self.waiting = deque(job for job in self.waiting if id(job) not in chosen)
            return batch
        while self.waiting:
            job = self.waiting.popleft()
            if job.waiting:
                return [job]
            job.answer.cancel()
        return []

    def _forget_abandoned(self) -> None:
        self._abandoned = 0
        for job in self.waiting:
            if not job.waiting:
                job.answer.cancel()
        self.waiting = deque(job for job in self.waiting if job.waiting)


def _fail(job: Job, error: Exception) -> None:
    if not job.answer.done():
        job.answer.set_exception(error)
        job.answer.exception()  # where nobody waits any more, that is no news


def choose_batch(waiting: Sequence[Job], budget: int) -> list[Job]:
    """The jobs to run together: the one that waited longest, and those nearest to it in length.

    Its rows padded to the longest have at most `budget` tokens, of which at most MOST_PADDING are padding; the job that
    waited longest is in it even where it alone has more.
    """
    oldest = waiting[0]
    by_length = sorted(waiting, key=lambda job: len(job.row))
    low = high = by_length.index(oldest)
    tokens = len(oldest.row)

    def fits(low: int, high: int, tokens: int) -> bool:
        padded = (high - low + 1) * len(by_length[high].row)
        return padded <= budget and padded - tokens <= MOST_PADDING * padded

    while True:
        sides = []
        if low > 0:
            shorter = len(by_length[low - 1].row)
            sides.append((len(oldest.row) - shorter, low - 1, high, tokens + shorter))
        if high + 1 < len(by_length):
            longer = len(by_length[high + 1].row)
            sides.append((longer - len(oldest.row), low, high + 1, tokens + longer))
        step = next((side for side in sorted(sides) if fits(*side[1:])), None)
        if step is None:
            return by_length[low : high + 1]
        _, low, high, tokens = step

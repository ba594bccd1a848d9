"""The scheduler: the one owner of the queue, which decides when and on which worker a comment runs.

It runs in the event loop of the HTTP process, so it needs no lock. A comment goes to a worker as soon as one has room.
On the CPU each comment runs alone; on a GPU the comments that are waiting when the device becomes free run together, up
to a budget of tokens (as in Hugging Face's Text Embeddings Inference, `core/src/queue.rs`). No comment ever waits for
a batch to fill.
"""

import asyncio
import itertools
import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from commentwise.serving.runtime.messages import Done, Message, Work
from commentwise.serving.runtime.metrics import Metrics

MAX_PADDING = 0.1
"""Maximum share of a batch's tokens that is padding."""


class WorkerLink(Protocol):
    """The connection to a worker (channel.Link)."""

    def send(self, message: Message) -> None:
        """Send a message without waiting."""

    def close(self) -> None:
        """Close the connection, which ends the worker."""


class Overloaded(Exception):
    """The queue is full. `retry_after` is the estimated time until it has emptied, in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("too many comments are waiting")
        self.retry_after = retry_after


class WorkerLost(Exception):
    """The worker that ran a comment died."""


class InferenceFailed(Exception):
    """The model could not answer a comment."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A comment's logits, and the seconds that it waited and ran."""

    logits: list[float]
    language: str
    """A BCP-47 tag; empty where the job has no text."""
    queue_seconds: float
    inference_seconds: float


class Job:
    """A comment that waits or runs."""

    __slots__ = ("answer", "deadline", "queued", "row", "sent", "text", "waiting")

    def __init__(self, row: list[int], deadline: float, text: str = "") -> None:
        self.row = row
        self.text = text
        """Where its language is asked for."""
        self.deadline = deadline
        """On the clock of time.monotonic."""
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.waiting = 0
        """The number of requests that wait for it. At 0 it is abandoned, and is not run."""
        self.queued = time.perf_counter()
        self.sent = 0.0


class Worker:
    """A worker, as the scheduler sees it."""

    def __init__(self, link: WorkerLink, process: int) -> None:
        self.link = link
        self.process = process
        self.running: dict[int, list[Job]] = {}
        """The jobs that it has been sent, by the number of the Work."""


class Scheduler:
    """The queue of one bundle, and its workers."""

    def __init__(self, room: int, threads: int, max_queue: int, batch_tokens: int, metrics: Metrics) -> None:
        """Create an empty queue.

        Parameters
        ----------
        room : maximum number of pieces of work that a worker holds, including the running ones.
        threads : pieces of work that a worker runs at once.
        max_queue : maximum number of comments in the queue.
        batch_tokens : maximum tokens of a piece of work, including padding; 0: each piece is one comment.
        """
        self.workers: list[Worker] = []
        self.waiting: deque[Job] = deque()
        self.last_answer = -math.inf
        """The time of the latest answer, on the clock of time.monotonic."""
        self._room = room
        self._threads = threads
        self._max_queue = max_queue
        self._batch_tokens = batch_tokens
        self._metrics = metrics
        self._numbers = itertools.count()
        self._seconds_per_comment = 0.01
        self._abandoned = 0

    def check_room(self, comments: int, deadline: float) -> None:
        """Raise Overloaded when the queue has no room for `comments` more, or they would wait half of the time they have.

        `deadline` is on the clock of time.monotonic. The other half of the time is for inference, and for errors of the
        estimated wait.
        """
        if not self._has_room(comments, deadline):
            if self._abandoned:
                self._drop_abandoned()
            if not self._has_room(comments, deadline):
                raise Overloaded(max(1, math.ceil(self._wait())))

    def _has_room(self, comments: int, deadline: float) -> bool:
        max_wait = (deadline - time.monotonic()) / 2
        return len(self.waiting) + comments <= self._max_queue and self._wait() <= max_wait

    def _wait(self) -> float:
        """The estimated wait of a new comment, in seconds."""
        return len(self.waiting) * self._seconds_per_comment / (max(1, len(self.workers)) * self._threads)

    def submit(self, job: Job, first: bool = False) -> None:
        """Queue a job and run it as soon as a worker has room; `first` puts it ahead of the queue."""
        if first:
            self.waiting.appendleft(job)
        else:
            self.waiting.append(job)
        self._dispatch()

    def release(self, job: Job) -> None:
        """Record that a request no longer waits for a job."""
        job.waiting -= 1
        if not job.waiting and not job.answer.done():
            self._abandoned += 1

    def add(self, link: WorkerLink, process: int) -> None:
        """Add a worker that has loaded the bundle."""
        self.workers.append(Worker(link, process))
        self._dispatch()

    def remove(self, link: WorkerLink) -> None:
        """Remove a worker that has died or been closed; the jobs it had fail with WorkerLost."""
        for worker in [worker for worker in self.workers if worker.link is link]:
            self.workers.remove(worker)
            for job in itertools.chain.from_iterable(worker.running.values()):
                _fail(job, WorkerLost(f"the inference process {worker.process} died while it ran this"))

    def finish(self, link: WorkerLink, done: Done) -> None:
        """Distribute a worker's results to the jobs of its piece of work."""
        (worker,) = (worker for worker in self.workers if worker.link is link)
        jobs = worker.running.pop(done.number)
        if done.results is None:
            for job in jobs:
                _fail(job, TimeoutError())
        else:
            self.last_answer = time.monotonic()
            self._seconds_per_comment += 0.05 * (done.seconds / len(jobs) - self._seconds_per_comment)
            self._metrics.batch([len(job.row) for job in jobs])
            for job, result, language in zip(jobs, done.results, done.languages, strict=True):
                if isinstance(result, str):
                    _fail(job, InferenceFailed(result))
                elif not job.answer.done():
                    job.answer.set_result(Answer(result, language, job.sent - job.queued, done.seconds))
        self._dispatch()

    def close(self) -> None:
        """Close the connections to the workers, which ends them."""
        for worker in list(self.workers):
            worker.link.close()

    def _dispatch(self) -> None:
        while self.waiting and self.workers:
            worker = min(self.workers, key=lambda worker: len(worker.running))
            if len(worker.running) >= self._room or not (jobs := self._next()):
                return
            number = next(self._numbers)
            worker.running[number] = jobs
            now = time.perf_counter()
            for job in jobs:
                job.sent = now
            deadline = max(job.deadline for job in jobs)
            worker.link.send(Work(number, deadline, [job.row for job in jobs], [job.text for job in jobs]))

    def _next(self) -> list[Job]:
        if self._batch_tokens:
            self._drop_abandoned()
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

    def _drop_abandoned(self) -> None:
        self._abandoned = 0
        for job in self.waiting:
            if not job.waiting:
                job.answer.cancel()
        self.waiting = deque(job for job in self.waiting if job.waiting)


def _fail(job: Job, error: Exception) -> None:
    if not job.answer.done():
        job.answer.set_exception(error)
        job.answer.exception()  # marks it as retrieved: asyncio would log it where no request waits any more


def choose_batch(waiting: Sequence[Job], budget: int) -> list[Job]:
    """Return the jobs to run together: the one that has waited longest, and those nearest to it in length.

    Padded to the longest row, the batch has at most `budget` tokens, of which at most MAX_PADDING are padding. The job
    that has waited longest is in it even where it alone exceeds the budget.
    """
    oldest = waiting[0]
    by_length = sorted(waiting, key=lambda job: len(job.row))
    low = high = by_length.index(oldest)
    tokens = len(oldest.row)

    def fits(low: int, high: int, tokens: int) -> bool:
        padded = (high - low + 1) * len(by_length[high].row)
        return padded <= budget and padded - tokens <= MAX_PADDING * padded

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

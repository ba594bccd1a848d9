"""The scheduler: which comments run together, and when."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commentwise.models.bundle import Classifier
from commentwise.serving.runtime.messages import Done
from commentwise.serving.runtime.metrics import Metrics
from commentwise.serving.runtime.scheduler import MAX_PADDING, Job, Overloaded, Scheduler, WorkerLost, choose_batch
from tests.serving.process import started
from tests.serving.test_faults import figure

BUDGET = 256


def job(length: int) -> Job:
    new = Job([1] * length, time.monotonic() + 60)
    new.waiting = 1
    return new


def in_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())

    return run


@given(st.lists(st.integers(1, 128), min_size=1, max_size=60))
def test_batch_holds_the_oldest_within_budget_and_with_little_padding(lengths: list[int]) -> None:
    async def check() -> None:
        waiting = [job(length) for length in lengths]
        batch = choose_batch(waiting, BUDGET)
        assert waiting[0] in batch
        assert len(set(map(id, batch))) == len(batch)
        chosen = [len(each.row) for each in batch]
        padded = len(chosen) * max(chosen)
        assert padded <= BUDGET
        assert padded - sum(chosen) <= MAX_PADDING * padded
        # No job of the longest length was left out that would have fitted.
        rest = [each for each in waiting if each not in batch]
        assert not [each for each in rest if len(each.row) == max(chosen) and padded + max(chosen) <= BUDGET]

    asyncio.run(check())


class Link:
    """A connection to a worker that keeps the messages it is sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, message: Any) -> None:
        self.sent.append(message)


def scheduler(room: int = 2, max_queue: int = 4, batch_tokens: int = 0) -> Any:
    return Scheduler(room, 1, max_queue, batch_tokens, Metrics(lambda: 0, lambda: 0))


def deadline_in(seconds: float) -> float:
    return time.monotonic() + seconds


@in_a_loop
async def test_comments_are_sent_at_once_while_there_is_room_and_else_when_there_is() -> None:
    queue, link = scheduler(), Link()
    queue.add(link, 1)
    jobs = [job(length) for length in (3, 4, 5)]
    for each in jobs:
        queue.submit(each)
    assert [rows for _, _, rows, _ in link.sent] == [[[1] * 3], [[1] * 4]]
    number = link.sent[0][0]
    queue.finish(link, Done(number, [[0.5, 0.5]], [""], 0.01))
    assert jobs[0].answer.result().logits == [0.5, 0.5]
    assert len(link.sent) == 3


@in_a_loop
async def test_work_goes_to_the_least_busy_worker() -> None:
    queue, links = scheduler(room=3), [Link(), Link()]
    for link in links:
        queue.add(link, 1)
    for _ in range(4):
        queue.submit(job(3))
    assert [len(link.sent) for link in links] == [2, 2]


@in_a_loop
async def test_batch_forms_only_while_the_device_is_busy() -> None:
    queue, link = scheduler(room=1, max_queue=10, batch_tokens=64), Link()
    queue.add(link, 1)
    for _ in range(5):
        queue.submit(job(8))
    assert [len(rows) for _, _, rows, _ in link.sent] == [1]
    queue.finish(link, Done(link.sent[0][0], [[0.0]], [""], 0.01))
    assert [len(rows) for _, _, rows, _ in link.sent] == [1, 4]


@in_a_loop
async def test_abandoned_jobs_are_neither_run_nor_counted() -> None:
    queue, link = scheduler(room=1, max_queue=2), Link()
    queue.add(link, 1)
    first, *rest = [job(3) for _ in range(3)]
    for each in (first, *rest):
        queue.submit(each)
    with pytest.raises(Overloaded) as refused:
        queue.check_room(1, deadline_in(2))
    assert refused.value.retry_after >= 1
    for each in rest:
        queue.release(each)
    queue.check_room(2, deadline_in(2))
    assert all(each.answer.cancelled() for each in rest)
    queue.finish(link, Done(link.sent[0][0], [[0.0]], [""], 0.01))
    assert len(link.sent) == 1


@in_a_loop
async def test_comments_that_would_wait_too_long_are_refused_though_the_queue_has_room() -> None:
    queue, link = scheduler(room=2, max_queue=1000), Link()
    queue.add(link, 1)
    for _ in range(20):
        queue.submit(job(3))
    queue.check_room(1, deadline_in(2))
    for number in range(10):
        queue.finish(link, Done(number, [[0.0]], [""], 3.0))  # each comment takes seconds
    with pytest.raises(Overloaded):
        queue.check_room(1, deadline_in(2))
    queue.check_room(1, deadline_in(3600))  # a later deadline allows for the wait


@in_a_loop
async def test_lost_worker_fails_its_own_jobs_only() -> None:
    queue, links = scheduler(room=1, max_queue=10), [Link(), Link()]
    for link in links:
        queue.add(link, 7)
    jobs = [job(3) for _ in range(3)]
    for each in jobs:
        queue.submit(each)
    queue.remove(links[0])
    assert isinstance(jobs[0].answer.exception(), WorkerLost)
    queue.finish(links[1], Done(links[1].sent[0][0], [[0.0]], [""], 0.01))
    assert jobs[1].answer.result()
    assert len(links[1].sent) == 2


@in_a_loop
async def test_work_that_a_worker_received_after_its_deadline_times_out() -> None:
    queue, link = scheduler(), Link()
    queue.add(link, 1)
    late = job(3)
    queue.submit(late)
    queue.finish(link, Done(link.sent[0][0], None, [], 0.0))
    assert isinstance(late.answer.exception(), TimeoutError)


@pytest.mark.slow
def test_batches_of_a_real_server_keep_their_order_and_their_answers(slow_bundle: Path, tmp_path: Path) -> None:
    flags = ["--workers", "1", "--threads", "1", "--batch-tokens", "512"]
    texts = [f"{word} {'video ' * (index % 9)}" for index, word in enumerate(["good", "bad", "a"] * 20)]
    with started(tmp_path, "--model", str(slow_bundle), *flags, "--cache", "0") as server:
        answer = httpx.post(f"{server.url}/analyze", json={"texts": texts}, trust_env=False, timeout=60).json()
        batches = figure(server, "te_batch_next_size_count")
        padding = figure(server, "commentwise_padding_tokens_total")
        tokens = figure(server, "commentwise_tokens_total")
    expected = [prediction.probabilities for prediction in Classifier(slow_bundle).predict(texts)]
    assert [result["probabilities"] for result in answer["results"]] == expected
    assert batches < len(texts) / 2
    assert padding <= MAX_PADDING * (tokens + padding)

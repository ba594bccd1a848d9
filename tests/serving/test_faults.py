"""Faults: full queues, slow answers, lost workers, clients that disconnect, and random bodies."""

import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from commentwise.models.bundle import Classifier
from tests.serving.process import PATIENCE, Server, started
from tests.waiting import until

pytestmark = pytest.mark.slow


def figure(server: Server, name: str) -> float:
    """The sum of the samples of /metrics whose names start with `name`; 0 where there are none yet."""
    lines = httpx.get(f"{server.url}/metrics", trust_env=False).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@contextmanager
def asking(server: Server, texts: list[str], **headers: str) -> Iterator[list[Future[httpx.Response]]]:
    """Classify all texts at once, each in a request of its own."""
    with httpx.Client(base_url=server.url, timeout=PATIENCE, trust_env=False, limits=httpx.Limits()) as client:

        def ask(text: str) -> httpx.Response:
            return client.post("/analyze", json={"text": text}, headers=headers)

        with ThreadPoolExecutor(len(texts)) as pool:
            yield [pool.submit(ask, text) for text in texts]


def different(count: int) -> list[str]:
    return ["good " * (index + 1) for index in range(count)]


@pytest.fixture
def slow(slow_bundle: Path, tmp_path: Path) -> Iterator[Server]:
    """A server with one worker that runs one comment at a time, slowly."""
    with started(tmp_path, "--model", str(slow_bundle), "--workers", "1", "--threads", "1", "--cache", "0") as server:
        yield server


def test_full_queue_refuses_new_requests_and_answers_the_queued_ones(slow_bundle: Path, tmp_path: Path) -> None:
    flags = ["--workers", "1", "--threads", "1", "--max-queue", "4", "--max-batch", "4"]
    with started(tmp_path, "--model", str(slow_bundle), *flags) as server:
        with asking(server, different(24)) as futures:
            answers = [future.result() for future in futures]
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {200, 429}
        assert statuses.count(200) >= 4
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error_type"] == "Overloaded"
        assert figure(server, 'commentwise_requests_total{route="unknown",status="429"}') + figure(
            server, 'commentwise_requests_total{route="/analyze",status="429"}'
        ) == statuses.count(429)
        with asking(server, ["good"]) as (future,):
            assert future.result().status_code == 200


def test_deadline_of_the_client(slow: Server) -> None:
    with asking(slow, different(20), **{"Request-Timeout": "0.2"}) as futures:
        answers = [future.result() for future in futures]
    late = [answer for answer in answers if answer.status_code == 504]
    assert late
    assert {answer.status_code for answer in answers} <= {200, 429, 504}  # 429: it would have waited too long
    assert late[0].json()["error_type"] == "Timeout"
    until(lambda: figure(slow, "te_queue_size") == 0)
    assert figure(slow, "te_batch_next_size_count") < 20  # abandoned requests were not computed


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan"])
def test_invalid_deadline(slow: Server, value: str) -> None:
    with asking(slow, ["good"], **{"Request-Timeout": value}) as (future,):
        assert (future.result().status_code, "Request-Timeout" in future.result().json()["error"]) == (422, True)


def test_work_of_a_client_that_disconnects_is_dropped(slow: Server) -> None:
    texts = different(30)
    with httpx.Client(trust_env=False, timeout=0.3) as client, pytest.raises(httpx.ReadTimeout):
        client.post(f"{slow.url}/analyze", json={"texts": texts})
    until(lambda: figure(slow, "te_queue_size") == 0)
    assert figure(slow, "te_batch_next_size_count") < len(texts)
    assert figure(slow, 'commentwise_requests_total{route="/analyze",status="499"}') == 1


def test_same_text_in_concurrent_requests_is_computed_once(slow_bundle: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--model", str(slow_bundle)) as server:
        with asking(server, ["a good video"] * 8) as futures:
            answers = [future.result().json() for future in futures]
        assert all(answer == answers[0] for answer in answers)
        assert figure(server, "te_batch_next_size_count") == 1
        assert figure(server, "commentwise_cache_hits_total") == 7


def test_client_that_disconnects_does_not_affect_another_with_the_same_text(slow_bundle: Path, tmp_path: Path) -> None:
    with (
        started(tmp_path, "--model", str(slow_bundle), "--workers", "1", "--threads", "1") as server,
        asking(server, [*different(10), "a video"]) as futures,
    ):
        until(lambda: figure(server, "te_queue_size") > 0)
        with httpx.Client(trust_env=False, timeout=0.1) as client, pytest.raises(httpx.ReadTimeout):
            client.post(f"{server.url}/analyze", json={"text": "a video"})
        assert futures[-1].result().json()["sentiment"] == "neutral"


def test_answer_is_the_same_alone_in_a_batch_and_under_load(tiny_bundle: Path, tmp_path: Path) -> None:
    texts = [f"{word} {'video ' * (index % 11)}{index}" for index, word in enumerate(["good", "bad", "a", "love"] * 16)]
    expected = [prediction.probabilities for prediction in Classifier(tiny_bundle).predict(texts)]
    with started(tmp_path, "--model", str(tiny_bundle), "--cache", "0") as server:
        with httpx.Client(base_url=server.url, timeout=PATIENCE, trust_env=False) as client:
            alone = [client.post("/analyze", json={"text": text}).json() for text in texts]
            together = client.post("/analyze", json={"texts": texts}).json()["results"]
        with asking(server, texts) as futures:
            loaded = [future.result().json() for future in futures]
    for answers in (alone, together, loaded):
        assert [answer["probabilities"] for answer in answers] == expected


def test_killed_worker_is_replaced_and_only_its_own_comments_fail(slow_bundle: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--model", str(slow_bundle), "--workers", "2", "--threads", "1", "--cache", "0") as server:
        with asking(server, different(30)) as futures:
            until(lambda: figure(server, "te_batch_next_size_count") >= 2)
            before = server.workers()
            before[0].kill()
            answers = [future.result() for future in futures]
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {200, 503}
        assert 1 <= statuses.count(503) <= 3  # the comment it ran, and those it had been sent
        lost = next(answer for answer in answers if answer.status_code == 503)
        assert (lost.headers["retry-after"], lost.json()["error_type"]) == ("1", "Unhealthy")
        until(lambda: len(server.workers()) == 2 and figure(server, "commentwise_workers") == 2)
        assert figure(server, "commentwise_lost_workers_total") == 1
        with asking(server, different(4)) as futures:
            assert {future.result().status_code for future in futures} == {200}


def test_queued_comments_are_answered_by_the_worker_that_replaces_the_only_one(slow: Server) -> None:
    (worker,) = slow.workers()
    with asking(slow, different(10)) as futures:
        until(lambda: figure(slow, "te_queue_size") > 4)
        worker.kill()
        statuses = [future.result().status_code for future in futures]
    assert statuses.count(200) >= 7  # all but those that the lost worker had been sent
    until(lambda: httpx.get(f"{slow.url}/health", trust_env=False).status_code == 200)


def test_sigterm_under_load_answers_running_requests_and_leaves_no_process(slow: Server) -> None:
    processes = slow.processes()
    with asking(slow, different(10)) as futures:
        until(lambda: figure(slow, "te_queue_size") > 4)
        slow.process.send_signal(signal.SIGTERM)
        assert [future.result().status_code for future in futures] == [200] * 10
    slow.process.communicate(timeout=PATIENCE)
    assert slow.process.returncode == 0
    assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []


def test_drain_is_bounded(slow_bundle: Path, tmp_path: Path) -> None:
    flags = ["--workers", "1", "--threads", "1", "--cache", "0", "--drain-timeout", "1"]
    with started(tmp_path, "--model", str(slow_bundle), *flags) as server:
        with asking(server, different(200)) as futures:
            until(lambda: figure(server, "te_queue_size") > 60)
            processes = server.processes()
            server.process.send_signal(signal.SIGTERM)
            server.process.communicate(timeout=PATIENCE)
            outcomes = [future.exception() or future.result().status_code for future in futures]
        assert {outcome for outcome in outcomes if isinstance(outcome, int)} <= {200, 429, 503}
        assert outcomes.count(200) < 200
        assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []


@pytest.fixture(scope="module")
def quick(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started(tmp_path_factory.mktemp("quick"), "--model", str(tiny_bundle), "--timeout", "2") as server:
        yield server


def test_slow_connections_do_not_hold_up_the_others(quick: Server) -> None:
    head = b"POST /analyze HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    sockets = [socket.create_connection(("127.0.0.1", quick.port), timeout=PATIENCE) for _ in range(200)]
    try:
        for index, connection in enumerate(sockets):
            connection.sendall(head[:30] if index % 2 else head + b'{"te')
        with asking(quick, ["good"] * 20) as futures:
            assert {future.result().status_code for future in futures} == {200}
        assert sockets[0].recv(100).startswith(b"HTTP/1.1 408")  # its body did not arrive in time
        assert sockets[1].recv(100) == b""  # nor this one's head
    finally:
        for connection in sockets:
            connection.close()


def test_ten_thousand_random_bodies(quick: Server) -> None:
    random_bytes = random.Random(0)
    good = b'{"text": "good", "texts": ["a"], "inputs": [["bad"]], "parameters": {"top_k": 1}, "instances": [1e999]}'
    paths = ["/analyze", "/predict", "/", "/invocations", "/v2/models/commentwise/infer"]
    statuses: dict[int, int] = {}

    def body() -> bytes:
        mutated = bytearray(good)
        for _ in range(random_bytes.randrange(12)):
            at = random_bytes.randrange(len(mutated))
            if random_bytes.random() < 0.5:
                mutated[at] = random_bytes.randrange(256)
            else:
                del mutated[at : at + random_bytes.randrange(20)]
            mutated = mutated or bytearray(b"{")
        return bytes(mutated)

    bodies = [(random_bytes.choice(paths), body()) for _ in range(10_000)]

    def send(part: list[tuple[str, bytes]]) -> None:
        with httpx.Client(base_url=quick.url, timeout=PATIENCE, trust_env=False) as client:
            for path, content in part:
                answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
                answer.json()
                statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1

    threads = [threading.Thread(target=send, args=(bodies[index::4],)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(statuses.values()) == len(bodies)
    assert set(statuses) <= {200, 400, 422}


def test_idle_server_uses_almost_no_cpu_time(quick: Server) -> None:
    processes = [psutil.Process(quick.process.pid), *quick.processes()]

    def used() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in processes)

    before, start = used(), time.monotonic()
    until(lambda: time.monotonic() - start > 2)
    assert used() - before < 0.2


def test_no_worker_died_in_the_tests_above(quick: Server) -> None:
    assert figure(quick, "commentwise_lost_workers_total") == 0

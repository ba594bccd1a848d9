"""The benchmark of servers: the load generator's counts, the end of the servers, and a whole run."""

import itertools
import json
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from benchmarks.latency import Latency, percentiles_ms
from benchmarks.result import Unavailable, read_result
from benchmarks.samples import BLOCK, draw
from benchmarks.servers import contenders as server_contenders
from benchmarks.servers import loops
from benchmarks.servers.contenders import contenders
from benchmarks.servers.load import Plan, generate
from benchmarks.servers.loops import QUICK, Scope
from benchmarks.servers.result import Load, ServingResult
from benchmarks.servers.running import Running, Server, running
from commentwise.errors import CommentwiseError
from commentwise.models.bundle import Classifier
from tests.benchmarks.sample_servers import HEALTHY, by_command
from tests.tiny import MAX_TOKENS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PATIENCE = 120

Reply = Callable[[int], int]
"""Handles the request with this number and returns its status."""


@contextmanager
def http_server(reply: Reply) -> Iterator[tuple[str, list[str]]]:
    """A server that answers one request at a time; yields its URL and the bodies of the requests."""
    bodies: list[str] = []
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer goes out in one piece

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            with one_at_a_time:
                bodies.append(body)
                status = reply(len(bodies))
            self.send_response(status)
            if status != 204:  # has no body, and so no length
                self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}" * (status != 204))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/analyze", bodies
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("connections", [1, 8])
def test_closed_loop_sends_every_body_in_turn_and_counts_every_answer(connections: int) -> None:
    sent = [json.dumps({"text": f"comment {number} ✓"}, ensure_ascii=False) for number in range(3)]
    with http_server(lambda _: 200) as (url, received):
        report = generate(Plan(url, sent, seconds=0.5, connections=connections))
    assert report["statuses"] == {"200": len(received)}
    assert report["due"] == len(received) >= connections
    assert report["lost"] == report["refused"] == report["unanswered"] == 0
    assert 0 < report["accepted_per_second"] * 0.5 <= len(received)
    assert set(received) == set(sent)
    if connections == 1:
        assert received == list(itertools.islice(itertools.cycle(sent), len(received)))
    assert timed(report)["p50"] <= timed(report)["p99.9"]
    assert report["generator_cpu_us_per_request"] > 0


def test_refusals_are_counted_and_do_not_add_to_the_throughput() -> None:
    with http_server(lambda number: 200 if number % 3 == 0 else 429) as (url, received):
        report = generate(Plan(url, ["{}"], seconds=0.5, connections=2))
    accepted = len(received) // 3
    assert report["statuses"] == {"200": accepted, "429": len(received) - accepted}
    assert report["accepted_per_second"] * 0.5 <= accepted


def test_open_loop_counts_from_the_due_time_when_the_server_stalls() -> None:
    def reply(number: int) -> int:
        if number == 20:
            time.sleep(0.3)
        return 200

    with http_server(reply) as (url, received):
        report = generate(Plan(url, ["{}"], seconds=1, connections=50, rate=100, good_within=0.1))
    assert report["due"] == len(received) == 100  # the stall delayed no request
    assert report["statuses"] == {"200": 100}
    assert report["good_per_second"] <= 80  # requests due in the first 0.2 s of the stall waited too long
    assert timed(report)["p95"] > 150  # requests due in the first half of the stall
    assert timed(report)["p95"] <= timed(report)["p99"] <= timed(report)["p99.9"]


def test_open_loop_queues_requests_when_connections_run_out() -> None:
    def reply(_: int) -> int:
        time.sleep(0.01)
        return 200

    with http_server(reply) as (url, received):
        report = generate(Plan(url, ["{}"], seconds=0.4, connections=1, rate=300))
    assert report["due"] == len(received) == 120
    assert report["accepted_per_second"] <= 100  # the maximum of the server
    assert timed(report)["p99"] > 500  # the last was due after 0.4 s and answered after 1.2 s


def test_an_absent_server_is_no_error_of_the_generator() -> None:
    with http_server(lambda _: 200) as (url, _):
        pass
    report = generate(Plan(url, ["{}"], seconds=0.2, connections=3))
    assert (report["refused"], report["due"], report["latency_ms"]) == (3, 0, None)


def test_an_answer_without_its_length_is_an_error() -> None:
    with http_server(lambda _: 204) as (url, _), pytest.raises(CommentwiseError, match="Content-Length"):
        generate(Plan(url, ["{}"], seconds=0.2, connections=1))


def timed(report: Load) -> Latency:
    """The latencies of a report that has some."""
    assert report["latency_ms"] is not None
    return report["latency_ms"]


class Silent:
    """A running server that only answers labels."""

    url = "http://127.0.0.1:1/"

    def labels(self, comments: list[str]) -> list[str]:
        return ["neutral"] * len(comments)

    def cpu_seconds(self) -> float:
        return 0.0

    def memory_mb(self) -> float:
        return 1.0


def test_the_rate_of_the_open_loop_rises_until_the_goodput_has_clearly_fallen(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {50: 50, 100: 95, 125: 80, 150: 70, 200: 5}

    def generate(plan: Plan) -> Load:
        return {
            "due": 10,
            "statuses": {"200": 10},
            "lost": 0,
            "refused": 0,
            "unanswered": 0,
            "accepted_per_second": 100.0,
            "good_per_second": good[round(plan.rate)] if plan.rate else 0,
            "latency_ms": None,
            "sent_late_ms": None,
            "generator_cpu_us_per_request": 0.0,
        }

    monkeypatch.setattr(loops, "generate", generate)
    scope = Scope(1, 2, (1, 8), (0.5, 1, 1.25, 1.5, 2), compared=3)
    server, started = by_command("-c", "pass"), cast(Running, Silent())
    measured = loops.measure(server, started, ["a video"] * 3, Classifier(tiny_bundle), scope)
    assert [facts["rate_over_peak"] for facts in measured["open"]] == [0.5, 1, 1.25, 1.5]  # 70 < 0.8 * 95
    assert [facts["goodput_over_peak"] for facts in measured["open"]] == [0.5, 0.95, 0.8, 0.7]
    assert measured["closed"].keys() == {"1", "8"}
    assert measured["closed"]["8"]["statuses"] == {"200": 20}
    assert measured["labels_alike"] == 1


def test_percentiles() -> None:
    milliseconds = list(range(10001))
    random.Random(1).shuffle(milliseconds)
    assert percentiles_ms(milliseconds) == {"p50": 5000, "p95": 9500, "p99": 9900, "p99.9": 9990}
    assert percentiles_ms([]) is None


def test_a_server_is_measured_with_its_children_and_leaves_none_behind() -> None:
    with running(by_command("-c", HEALTHY)) as started:
        (server,) = [child for child in psutil.Process().children() if HEALTHY in child.cmdline()]
        (child,) = server.children()
        alone = server.memory_full_info().rss / 1024**2
        assert started.cpu_seconds() >= sum(server.cpu_times()[:2]) > 0
        assert 0 < started.memory_mb() < alone + child.memory_full_info().rss / 1024**2
        with pytest.raises(CommentwiseError, match="it does not answer 'hello'"):
            started.labels(["hello"])
    assert not server.is_running()
    psutil.wait_procs([child], timeout=PATIENCE)
    assert not child.is_running()


def test_a_server_that_dies_is_an_error_with_its_last_output() -> None:
    dying = by_command("-c", "print('no such model'); raise SystemExit(3)")
    with pytest.raises(CommentwiseError, match=r"exit code 3\nno such model$"), running(dying):
        pass


def peer(name: str, bundle: Path, checkpoint: Path | None) -> Server:
    return next(server for server in contenders(bundle, checkpoint) if server.name == name)


@pytest.mark.parametrize("name", ["FastAPI + transformers", "infinity", "mlflow models serve"])
def test_peers_that_need_a_checkpoint_say_so(name: str, tiny_bundle: Path) -> None:
    with pytest.raises(Unavailable, match="--checkpoint"), running(peer(name, tiny_bundle, None)):
        pass


def test_a_peer_that_cannot_be_installed_is_missing_with_the_reason(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements = tmp_path / "infinity.txt"
    requirements.write_text("./no-such-package\n", encoding="utf-8")
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(server_contenders, "PEERS", tmp_path / "peers")
    monkeypatch.setattr(server_contenders, "INFINITY_REQUIREMENTS", requirements)
    with pytest.raises(Unavailable, match=r"could not be installed: .*no-such-package"):
        peer("infinity", tiny_bundle, tmp_path).command(8000)


def test_drawn_comments_are_truncated_like_the_bundle_s_and_every_block_has_the_same_length(tiny_bundle: Path) -> None:
    classifier = Classifier(tiny_bundle)
    texts = [" ".join(["video"] * words) for words in range(1, 65)] * 2 + ["", " \u200b "]
    drawn = draw(texts, classifier)
    words = [len(comment.split()) for comment in drawn]
    assert len(drawn) == 4 * BLOCK
    assert max(words) == MAX_TOKENS - 2  # without [CLS] and [SEP]
    totals = [sum(words[start : start + BLOCK]) for start in range(0, len(words), BLOCK)]
    assert max(totals) - min(totals) <= 2 * BLOCK
    assert drawn == draw(texts, classifier)
    with pytest.raises(CommentwiseError, match="there are 31 comments with text, at least 32 are needed"):
        draw(["video"] * 31, classifier)


def command(bundle: Path, out: Path, *flags: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.servers", "--bundle", str(bundle), "--out", str(out), *flags]


def test_a_whole_run(tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "serving.json"
    run = subprocess.run(
        command(tiny_bundle, out, "--quick", "--seconds", "0.4", "--repeats", "2"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    result = read_result(ServingResult, out)
    assert result["comments"]["count"] == 1024
    assert result["engine"]["comments_per_second"] > 0
    ours, plain, *others = result["servers"].values()
    for measured in (ours, plain):
        assert "closed" in measured, measured
        assert measured["labels_alike"] == 1
        assert measured["share_of_engine"] > 0
        for connections in ("1", "32"):
            facts = measured["closed"][connections]
            assert len(facts["rounds"]) == 2
            assert set(facts["statuses"]) == {"200"}
            assert facts["server_cpu_ms_per_request"] > 0
            assert facts["server_memory_mb"] > 10
        assert [facts["rate_over_peak"] for facts in measured["open"]] == list(QUICK.rates)
        assert all(facts["due"] == sum(facts["statuses"].values()) for facts in measured["open"])
    assert len(result["engine"]["rounds"]) == 3  # before, between and after the two
    for row in others:
        assert "missing" in row
        assert "--checkpoint" in row["missing"]
    for name in result["servers"]:
        assert name in run.stdout
    assert out.with_suffix(".png").stat().st_size > 5000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_server_behind(number: signal.Signals, tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "serving.json"
    with subprocess.Popen(
        command(tiny_bundle, out, "--seconds", "1", "--repeats", "100"), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as benchmark:
        servers = wait_for_server(benchmark.pid)
        benchmark.send_signal(number)
        benchmark.communicate(timeout=PATIENCE)
    assert benchmark.returncode == 130
    assert not psutil.wait_procs(servers, timeout=PATIENCE)[1]
    assert not out.exists()


def wait_for_server(pid: int) -> list[psutil.Process]:
    """The processes of the server that a benchmark starts first."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for child in psutil.Process(pid).children():
            if "commentwise.serving" in child.cmdline():
                time.sleep(1)  # give it time to start its child processes
                return [child, *child.children(recursive=True)]
        time.sleep(0.05)
    raise AssertionError("the benchmark started no server")


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--seconds", "0"], "--seconds"),
        (["--column", "Comment"], "no column 'Comment' \\(it has comment_id, .*name one of them"),
        (["--checkpoint", "nowhere"], "nowhere has no config.json"),
    ],
)
def test_wrong_flags_give_a_one_line_error(flags: list[str], reason: str, tiny_bundle: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        command(tiny_bundle, tmp_path / "out.json", *flags), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert re.fullmatch(f"error: .*{reason}.*\n", run.stderr)

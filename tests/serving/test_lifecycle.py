"""The start of the server, its failures to start, and its shutdown."""

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

import httpx
import onnx
import psutil
import pytest

from commentwise.serving.demo import free_port
from tests.serving.process import PATIENCE, ROOT, Server, spawn, started
from tests.tiny import GRAPH, tiny_graph, write_tiny_manifest


def other_weights(bundle: Path) -> None:
    onnx.save(tiny_graph(-6.0), bundle / GRAPH)
    write_tiny_manifest(bundle)


def truncated(bundle: Path) -> None:
    (bundle / GRAPH).write_bytes((bundle / GRAPH).read_bytes()[:-1])


def untouched(_: Path) -> None:
    pass


FAILURES: dict[str, tuple[Callable[[Path], object], list[str], list[str]]] = {
    "missing bundle": (shutil.rmtree, [], ["no bundle at", "name another folder"]),
    "other probabilities for the golden texts": (other_weights, [], [GRAPH, "export the bundle again"]),
    "port out of range": (untouched, ["--port", "80"], ["--port (or COMMENTWISE_PORT) is '80'", "1024"]),
}


@pytest.mark.parametrize(("damage", "flags", "messages"), FAILURES.values(), ids=FAILURES.keys())
def test_failure_to_start(
    bundle_copy: Path, tmp_path: Path, damage: Callable[[Path], object], flags: list[str], messages: list[str]
) -> None:
    damage(bundle_copy)
    process = spawn(tmp_path, "--model", str(bundle_copy), "--port", str(free_port()), *flags)
    assert_fails(process, tmp_path / "log", messages)


def test_port_in_use(tiny_bundle: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        process = spawn(tmp_path, "--model", str(tiny_bundle), COMMENTWISE_PORT=port)
        assert_fails(process, tmp_path / "log", [f"127.0.0.1 port {port}", "--port"])


def test_bundle_is_checked_before_anything_starts(bundle_copy: Path, tmp_path: Path) -> None:
    truncated(bundle_copy)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        process = spawn(tmp_path, "--model", str(bundle_copy), "--port", port)
        assert_fails(process, tmp_path / "log", [GRAPH, "bytes instead of"])


def test_device_that_is_not_available(bundle_copy: Path, tmp_path: Path) -> None:
    write_tiny_manifest(bundle_copy, devices={"cuda": GRAPH})
    process = spawn(tmp_path, "--model", str(bundle_copy), "--port", str(free_port()), COMMENTWISE_DEVICE="cuda")
    assert_fails(process, tmp_path / "log", ["device 'cuda' is not available", "'cpu'"])


def assert_fails(process: subprocess.Popen[str], log: Path, messages: list[str]) -> None:
    output, _ = process.communicate(timeout=PATIENCE)
    errors = log.read_text(encoding="utf-8")
    assert process.returncode == 1
    assert output == ""
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert [message for message in messages if message not in errors] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_every_process_after_the_running_request(
    tiny_bundle: Path, tmp_path: Path, number: signal.Signals
) -> None:
    body = json.dumps({"text": "good"}).encode()
    with started(tmp_path, "--model", str(tiny_bundle)) as server:
        children = server.processes()
        assert len(server.workers()) >= 1
        with begin_request(server, len(body)) as connection, idle_connection(server) as idle:
            server.process.send_signal(number)
            assert idle.recv(1) == b""  # the server closes idle connections when it begins to shut down
            connection.sendall(body)
            answer = connection.makefile("rb").read()
        output, _ = server.process.communicate(timeout=PATIENCE)
    assert b"200 OK" in answer.splitlines()[0]
    assert b'"sentiment":"positive"' in answer
    assert (server.process.returncode, output) == (0, "")
    assert [line for line in server.log.read_text().splitlines() if json.loads(line)["level"] != "info"] == []
    assert psutil.wait_procs(children, timeout=PATIENCE)[1] == []
    assert list(tmp_path.iterdir()) == [server.log]


def begin_request(server: Server, length: int) -> socket.socket:
    """Send a request's head and wait until the server asks for its body."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    head = (
        f"POST /analyze HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
    )
    connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
    expected = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert connection.recv(len(expected), socket.MSG_WAITALL) == expected
    return connection


def idle_connection(server: Server) -> socket.socket:
    """Open a connection that has received its answer."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.request("GET", "/health")
    assert connection.getresponse().read() == b'{"status":"ready"}'
    assert isinstance(connection.sock, socket.socket)
    return connection.sock


def test_signal_while_starting_ends_every_process(slow_bundle: Path, tmp_path: Path) -> None:
    process = spawn(tmp_path, "--model", str(slow_bundle), "--port", str(free_port()))
    while len(children := psutil.Process(process.pid).children(recursive=True)) < 2:
        assert process.poll() is None
    process.terminate()
    assert process.communicate(timeout=PATIENCE)[0] == ""
    assert process.returncode == 0
    assert psutil.wait_procs(children, timeout=PATIENCE)[1] == []


def test_death_of_the_http_process_ends_the_server(tiny_bundle: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--model", str(tiny_bundle)) as server:
        children = server.processes()
        server.http_process().kill()
        server.process.communicate(timeout=PATIENCE)
    assert server.process.returncode == 1
    last = server.log.read_text(encoding="utf-8").splitlines()[-1]
    assert last.startswith("error: the HTTP process died (exit code -9)")
    assert psutil.wait_procs(children, timeout=PATIENCE)[1] == []


def test_death_of_the_first_process_ends_all_others(tiny_bundle: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--model", str(tiny_bundle)) as server:
        children = server.processes()
        server.process.kill()
        server.process.communicate(timeout=PATIENCE)
        assert psutil.wait_procs(children, timeout=PATIENCE)[1] == []


def test_not_ready_before_it_stops_listening(tiny_bundle: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--model", str(tiny_bundle), "--drain-delay", "60") as server:
        server.process.terminate()
        while urlopen_status(f"{server.url}/health") == 200:
            pass
        assert urlopen_status(f"{server.url}/health") == 503
        assert urlopen_status(f"{server.url}/health/live") == 200
        server.process.kill()


def urlopen_status(url: str) -> int:
    return httpx.get(url, trust_env=False).status_code


def test_server_needs_no_training_library(tmp_path: Path) -> None:
    heavy = "{'torch', 'transformers', 'mlflow', 'pandas', 'onnx', 'sklearn'}"
    imports = "import sys, commentwise.serving.demo; from commentwise.serving.http import server"
    code = f"{imports}; server.route_table(); print({heavy} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"

"""Start the real server, classify comments over HTTP, print the answers and stop it."""

import argparse
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from commentwise.errors import CommentwiseError, run_command
from commentwise.models.names import bundle_folder

START_SECONDS = 120
STOP_SECONDS = 30
REQUEST_SECONDS = 60

_open = build_opener(ProxyHandler({})).open  # requests to this machine bypass any proxy


def main() -> None:
    """Classify the texts on the command line."""
    parser = argparse.ArgumentParser(prog="python -m commentwise.serving.demo", description=__doc__)
    parser.add_argument(
        "--model", default="artifacts/bundle", help="folder of the bundle, or models:/NAME@ALIAS (default: %(default)s)"
    )
    parser.add_argument("texts", nargs="+", metavar="TEXT", help="a comment to classify")
    arguments = parser.parse_args()
    with running_server(bundle_folder(arguments.model)) as url:
        for text in arguments.texts:
            answer = analyze(url, text)
            print(f"{answer['label']:<10} {answer['confidence']:.2f}  {' '.join(text.split())}")


@contextmanager
def running_server(model: Path) -> Iterator[str]:
    """Serve a bundle on a free port of this machine and yield the server's URL once it is ready.

    Raises CommentwiseError when the server ends or is not ready in time.
    """
    port = free_port()
    flags = ["--model", str(model), "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen([sys.executable, "-m", "commentwise.serving", *flags], stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url, process)
        yield url
    finally:
        _stop(process)


def free_port() -> int:
    """Return a port of this machine that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def analyze(url: str, text: str) -> dict[str, Any]:
    """Classify one comment. Raises CommentwiseError with the server's reason when it refuses the text."""
    body = json.dumps({"text": text}).encode()
    request = Request(f"{url}/analyze", body, {"Content-Type": "application/json"})
    try:
        with _open(request, timeout=REQUEST_SECONDS) as response:
            return dict(json.load(response))
    except HTTPError as error:
        raise CommentwiseError(f"the server refused {text!r}: {json.load(error)['error']}") from None


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise CommentwiseError(f"the server ended with exit code {process.returncode}: fix the error above")
        if _is_ready(url):
            return
        time.sleep(0.1)
    raise CommentwiseError(f"the server was not ready within {START_SECONDS} seconds")


def _is_ready(url: str) -> bool:
    try:
        with _open(f"{url}/health", timeout=REQUEST_SECONDS):
            return True
    except OSError:  # connection refused, or an HTTPError with 503
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


if __name__ == "__main__":
    run_command(main)

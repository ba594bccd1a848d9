import os
import subprocess
import sys
from pathlib import Path

import psutil

from tests.serving.process import PATIENCE, ROOT


def demo(*arguments: str) -> tuple[int, str, str]:
    """Run the demo in a session of its own; return its exit code, output and errors once all its processes have ended."""
    command = [sys.executable, "-m", "commentwise.serving.demo", *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    output, errors = process.communicate(timeout=PATIENCE)
    assert psutil.wait_procs(members(process.pid), timeout=PATIENCE)[1] == []
    return process.returncode, output, errors


def members(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session:
                found.append(process)
        except ProcessLookupError:
            continue
    return found


def test_demo_prints_a_line_per_text(tiny_bundle: Path) -> None:
    code, output, errors = demo("--model", str(tiny_bundle), "good", "bad\n  video")
    assert (code, errors) == (0, "")
    first, second = output.splitlines()
    assert first.split() == ["positive", "0.95", "good"]
    assert second.split()[0] == "negative"
    assert second.endswith("  bad video")


def test_demo_shows_why_the_server_did_not_start(tmp_path: Path) -> None:
    code, output, errors = demo("--model", str(tmp_path / "nowhere"), "good")
    assert (code, output) == (1, "")
    reason, consequence = errors.splitlines()
    assert reason.startswith("error: no bundle at")
    assert consequence.startswith("error: the server ended with exit code 1")


def test_demo_shows_why_a_text_is_refused(tiny_bundle: Path) -> None:
    code, output, errors = demo("--model", str(tiny_bundle), "good", " ")
    assert (code, output.split()) == (1, ["positive", "0.95", "good"])
    (reason,) = errors.splitlines()
    assert reason.startswith("error: the server refused ' '")

"""The runner of all benchmarks: its commands, failures of single benchmarks, and interruption."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import __main__ as runner
from benchmarks.report.result_files import RESULTS
from commentwise.errors import CommentwiseError
from commentwise.fileio import write_json

ROOT = Path(__file__).parents[2]
PATIENCE = 30


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The commands that are run, in a folder where the pipeline has run; the benchmark training fails."""
    found: list[list[str]] = []

    def run(command: list[str]) -> int:
        found.append(command[2:])
        return int("benchmarks.training" in command)

    monkeypatch.chdir(tmp_path)
    runner.CANDIDATE.mkdir(parents=True)
    monkeypatch.setattr(runner, "run", run)
    return found


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    try:
        runner.main()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_benchmark_that_fails_is_named_and_the_others_run(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommentwiseError, match="training failed"):
        called(monkeypatch)
    names = [f"benchmarks.{name}" for name in ("engines", "servers", "training", "scale", "scale.footprint", "report")]
    assert [call[0] for call in calls] == names
    assert not any("--quick" in call or "--out" in call for call in calls[:-1])
    assert calls[-1][1:] == ["--results", str(RESULTS), "--out", "benchmarks/results/report"]
    assert "bench 3/5: training failed in" in capsys.readouterr().out


def test_a_quick_run_does_not_touch_published_results(calls: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    called(monkeypatch, "--quick", "--only", "serving,engines")
    serving, engines, report = calls
    assert serving[-3:] == ["--quick", "--out", "build/bench/quick/results/serving.json"]
    assert engines == ["benchmarks.engines", "--quick", "--out", "build/bench/quick/results/engines.json"]
    assert report[1:] == ["--results", "build/bench/quick/results", "--out", "build/bench/quick/report"]
    for name in ("serving", "scale"):
        write_json(runner.QUICK / "results" / f"{name}.json", {})
    Path(runner.BUNDLE).mkdir()
    called(monkeypatch, "--quick", "--only", "serving")
    assert calls[-1][-2:] == ["--before", "build/bench/quick/before"]
    assert [path.name for path in (runner.QUICK / "results").iterdir()] == ["scale.json"]
    assert (runner.QUICK / "before" / "serving.json").exists()


def test_the_pipeline_runs_first_where_it_has_not_run(calls: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    runner.CANDIDATE.rmdir()
    called(monkeypatch, "--only", "engines")
    assert calls[0] == ["dvc", "repro"]


def test_without_the_bundle_the_error_names_the_benchmark_that_writes_it(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CommentwiseError, match=r"build/bench/bundle is missing: .* --only engines,training,scale"):
        called(monkeypatch, "--only", "training,scale")
    assert calls == []


def test_an_unknown_benchmark_is_named(calls: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommentwiseError, match="no benchmark 'speed': choose from engines, serving"):
        called(monkeypatch, "--only", "engines,speed")
    assert calls == []


def test_an_interrupted_run_ends_the_benchmark_and_its_children(tmp_path: Path) -> None:
    """The benchmark's own child ignores Ctrl-C, so the runner must kill it."""
    pids = tmp_path / "pids"
    benchmark = (
        "import os, signal, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(600)'])\n"
        f"open({str(pids)!r} + '.new', 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        f"os.rename({str(pids)!r} + '.new', {str(pids)!r})\n"
        "time.sleep(600)\n"
    )
    program = f"import sys; from benchmarks.__main__ import run; run([sys.executable, '-c', {benchmark!r}])"
    running = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.DEVNULL)
    end = time.monotonic() + PATIENCE
    while not pids.exists() and time.monotonic() < end:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    running.wait(PATIENCE)
    for pid in map(int, pids.read_text().split()):
        assert _gone(pid, end)


def _gone(pid: int, end: float) -> bool:
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":  # a zombie: it has exited
            return True
        time.sleep(0.05)
    return False

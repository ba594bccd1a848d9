"""The scale benchmark: what is measured is the work, and what is not measured says so."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks import processes
from benchmarks.scale import __main__ as scale
from benchmarks.scale.__main__ import doubled, growing
from benchmarks.scale.tasks import HELD_OUT_COMMENTS, Examples, linear_bundle, score, train_linear
from commentwise.errors import CommentwiseError
from commentwise.models.bundle import Classifier

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data/sample/comments.jsonl"
PATIENCE = 60


@pytest.fixture(autouse=True)
def in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_sizes_beyond_the_budget_or_the_data_are_left_out_by_name() -> None:
    measured = []

    def measure(count: int) -> dict[str, Any]:
        measured.append(count)
        return {"seconds": 2 + count / 100}

    rows = growing({"family": "svm"}, [100, 1000, 10_000, 2000, 4000], 60, measure, most=3000)
    assert measured == [100, 1000, 2000]
    assert [row["comments"] for row in rows] == [100, 1000, 10_000, 2000, 4000]
    assert rows[0] == {"family": "svm", "comments": 100, "seconds": 3}
    assert rows[4] == {"family": "svm", "comments": 4000, "left_out": "there are only 3000"}
    # 12 s for 1000, and each of 9000 more as each of the last 900: 102 s.
    (row,) = growing({"model": "bert"}, [100, 1000, 10_000], 60, measure)[2:]
    assert row["left_out"] == "it would take about 102 s, and the budget is 60"


def test_doubled() -> None:
    assert doubled(250, 1000) == [250, 500, 1000]
    assert doubled(1, 6) == [1, 2, 4]


def test_memory_is_that_of_all_processes_together(tmp_path: Path) -> None:
    hold = "import time; held = bytearray(b'x') * (50 * 2**20); time.sleep(1)"
    both = f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {hold!r}]); {hold}; child.wait()"
    assert 100 < processes.run([sys.executable, "-c", both], tmp_path / "output.txt") < 200


def test_a_command_that_fails_is_an_error_with_its_last_output(tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError, match=r"ended with exit code 3: out of luck$"):
        processes.run([sys.executable, "-c", "print('out of luck'); raise SystemExit(3)"], tmp_path / "output.txt")


def test_a_linear_model_is_trained_on_so_many_examples_and_its_bundle_scores(tmp_path: Path) -> None:
    examples = Examples.read(SAMPLE, "text", "label")
    assert examples.table["text"].is_unique
    assert examples.most == len(examples.table) - 2 * HELD_OUT_COMMENTS
    found = train_linear("svm", examples, 120, tmp_path / "svm")
    assert found["seconds"] > 0
    bundle = linear_bundle("svm", tmp_path / "svm" / "svm", tmp_path / "bundle")
    assert Classifier(bundle).manifest.family == "svm"
    facts = score(bundle, list(examples.table["text"]), 3000, tmp_path)
    assert facts["peak_memory_mb"] > 50
    assert facts["comments_per_second"] == pytest.approx(3000 / facts["seconds"], rel=0.01)
    scored = (tmp_path / "scored.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(scored) == 3000


def test_told_to_stop_it_leaves_no_process_behind(tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "scale.json"
    command = [sys.executable, "-m", "benchmarks.scale", "--bundle", str(tiny_bundle), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as benchmark:
        training = wait_for_training(benchmark.pid)
        benchmark.send_signal(signal.SIGINT)
        _, said = benchmark.communicate(timeout=PATIENCE)
    assert (benchmark.returncode, said) == (130, "interrupted: run the same command again to continue\n")
    assert not psutil.wait_procs([training], timeout=PATIENCE)[1]
    assert not out.exists()


def wait_for_training(pid: int) -> psutil.Process:
    """The process that the benchmark starts first, once it is at work."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for child in psutil.Process(pid).children():
            if "benchmarks.training" in child.cmdline() and sum(child.cpu_times()[:2]) > 0.1:
                return child
        time.sleep(0.02)
    raise AssertionError("the benchmark trained nothing")


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--largest", "10"], "--largest must be 1000 or more"),
        (["--label-column", "Sentiment"], "no column 'Sentiment'"),
    ],
)
def test_wrong_flags(flags: list[str], reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["scale", "--data", str(SAMPLE), *flags])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(CommentwiseError, match=reason):
        scale.main()

"""The scale benchmark: its work, the sizes that it leaves out, and interruption."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks import processes
from benchmarks.scale import __main__ as scale
from benchmarks.scale.__main__ import doubled, growing
from benchmarks.scale.result import Trained
from benchmarks.scale.work import HELD_OUT_COMMENTS, Examples, linear_bundle, score, train_linear
from commentwise.errors import CommentwiseError
from commentwise.models.bundle import Classifier
from commentwise.training.project import Project
from commentwise.training.settings import load_settings

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data/sample/comments.jsonl"
PATIENCE = 60
SETTINGS = load_settings(Project(ROOT).params)


@pytest.fixture(autouse=True)
def in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_sizes_beyond_the_budget_or_the_data_are_left_out_with_the_reason() -> None:
    measured = []

    def measure(count: int) -> Trained:
        measured.append(count)
        return {"family": "svm", "comments": count, "seconds": 2 + count / 100}

    rows = list(growing("svm", [100, 1000, 10_000, 2000, 4000], 60, measure, maximum=3000))
    assert measured == [100, 1000, 2000]
    assert [count for count, _ in rows] == [100, 1000, 10_000, 2000, 4000]
    assert rows[0] == (100, {"family": "svm", "comments": 100, "seconds": 3})
    assert rows[4] == (4000, "there are only 3000")
    # 12 s for 1000, and 9000 further ones at the cost of the last 900: 102 s.
    *_, last = growing("svm", [100, 1000, 10_000], 60, measure)
    assert last == (10_000, "it would take about 102 s, and the budget is 60")


def test_doubled() -> None:
    assert doubled(250, 1000) == [250, 500, 1000]
    assert doubled(1, 6) == [1, 2, 4]


def test_memory_is_the_sum_over_all_processes(tmp_path: Path) -> None:
    hold = "import time; held = bytearray(b'x') * (50 * 2**20); time.sleep(1)"
    both = f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {hold!r}]); {hold}; child.wait()"
    assert 100 < processes.run([sys.executable, "-c", both], tmp_path / "output.txt") < 200


def test_a_command_that_fails_is_an_error_with_its_last_output(tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError, match=r"ended with exit code 3: out of luck$"):
        processes.run([sys.executable, "-c", "print('out of luck'); raise SystemExit(3)"], tmp_path / "output.txt")


def test_a_linear_model_is_trained_and_its_bundle_scores(tmp_path: Path) -> None:
    examples = Examples.read(SAMPLE, "text", "label", SETTINGS.labels)
    assert examples.table["text"].is_unique
    assert examples.max_train == len(examples.table) - 2 * HELD_OUT_COMMENTS
    trained = train_linear("svm", examples, 120, tmp_path / "svm")
    assert trained["seconds"] > 0
    bundle = linear_bundle(Project(tmp_path / "svm").candidate("svm"), SETTINGS, tmp_path / "bundle")
    assert Classifier(bundle).manifest.family == "svm"
    row = score(bundle, "svm", list(examples.table["text"]), 3000, tmp_path)
    assert row["peak_memory_mb"] > 50
    assert row["comments_per_second"] == pytest.approx(3000 / row["seconds"], rel=0.01)
    scored = (tmp_path / "scored.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(scored) == 3000


def test_an_interrupted_run_leaves_no_process_behind(tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "scale.json"
    command = [sys.executable, "-m", "benchmarks.scale", "--bundle", str(tiny_bundle), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as benchmark:
        training = wait_for_training(benchmark.pid)
        benchmark.send_signal(signal.SIGINT)
        _, output = benchmark.communicate(timeout=PATIENCE)
    assert (benchmark.returncode, output) == (130, "interrupted: run the same command again to continue\n")
    assert not psutil.wait_procs([training], timeout=PATIENCE)[1]
    assert not out.exists()


def wait_for_training(pid: int) -> psutil.Process:
    """The first process that the benchmark starts, once it works."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for child in psutil.Process(pid).children():
            if "benchmarks.training" in child.cmdline() and sum(child.cpu_times()[:2]) > 0.1:
                return child
        time.sleep(0.02)
    raise AssertionError("the benchmark started no training")


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

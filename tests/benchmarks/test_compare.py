"""The comparison of two runs: it separates changes from noise, and its exit code stops a build."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.engines.result import measured_engines
from benchmarks.report import compare
from benchmarks.report.compare import changes, committed, incomparable
from benchmarks.report.result_files import Results, read_results
from benchmarks.result import Machine
from benchmarks.servers.result import measured_servers
from commentwise.errors import CommentwiseError
from commentwise.fileio import write_json
from tests.benchmarks.sample_results import everything, measured_server, slower

AGAINST = "serving/commentwise/against infinity"


def verdicts(before: Results, after: Results) -> dict[str, str]:
    return {change.name: change.verdict for change in changes(before, after)}


def compared(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> int:
    """The exit code of the command."""
    monkeypatch.setattr(sys, "argv", ["compare", *map(str, folders)])
    with pytest.raises(SystemExit) as ended:
        compare.main()
    return int(ended.value.code or 0)


@pytest.fixture
def after() -> Results:
    return copy.deepcopy(everything())


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.6, "worse"), (0.97, "within noise"), (1.03, "within noise"), (1.6, "better")]
)
def test_a_speed_is_judged_by_its_ratio_beyond_the_range_of_the_rounds(
    after: Results, share: float, verdict: str
) -> None:
    slower(after["serving"], share)
    assert verdicts(everything(), after)[AGAINST] == verdict
    assert verdicts(everything(), after)["serving/commentwise/speed"] == "not judged"


def test_a_machine_that_is_slower_in_everything_is_no_change(after: Results) -> None:
    for server in measured_servers(after["serving"]["servers"]).values():
        for loop in server["closed"].values():
            loop["requests_per_second"] /= 2
            loop["rounds"] = [speed / 2 for speed in loop["rounds"]]
        server["peak_per_second"] /= 2
        server["engine_beside"] /= 2
    assert not {"worse", "better"} & set(verdicts(everything(), after).values())


def test_rounds_that_differ_widely_hide_a_smaller_change(after: Results) -> None:
    slower(after["serving"], 0.8)
    assert verdicts(everything(), after)[AGAINST] == "worse"
    closed = measured_server(after["serving"], "commentwise")["closed"]["32"]
    closed["rounds"] = [0.5 * closed["rounds"][0], closed["rounds"][0], 1.6 * closed["rounds"][0]]
    assert verdicts(everything(), after)[AGAINST] == "within noise"


@pytest.mark.parametrize(("loss", "verdict"), [(0.012, "worse"), (0.004, "within noise"), (-0.012, "better")])
def test_quality_has_its_own_tolerance(after: Results, loss: float, verdict: str) -> None:
    measured_engines(after["engines"]["engines"])["ONNX Runtime int8"]["quality"]["f1_loss"] = loss
    assert verdicts(everything(), after)["engines/ONNX Runtime int8/macro-F1 lost"] == verdict


def test_one_label_changed_by_neighbours_is_worse(after: Results) -> None:
    measured_engines(after["engines"]["engines"])["ONNX Runtime int8"]["batches"]["8"]["neighbour_label_changes"] = 1
    assert verdicts(everything(), after)["engines/ONNX Runtime int8/labels changed by neighbours"] == "worse"


def test_new_and_missing_figures_are_listed(after: Results) -> None:
    after["serving"]["servers"]["infinity"] = {"what": "", "missing": "gone"}
    assert verdicts(everything(), after)[AGAINST] == "gone"
    assert verdicts(after, everything())[AGAINST] == "new"


@pytest.mark.parametrize(
    ("machine", "command"),
    [({"processor": "Other CPU", "cores": 8}, None), (None, "python -m benchmarks.servers --repeats 9")],
)
def test_another_machine_or_command_is_not_judged_and_named(
    after: Results, machine: Machine | None, command: str | None
) -> None:
    slower(after["serving"], 0.5)
    after["serving"]["machine"] = machine or after["serving"]["machine"]
    after["serving"]["command"] = command or after["serving"]["command"]
    assert verdicts(everything(), after)[AGAINST] == "not judged"
    assert list(incomparable(everything(), after)) == ["serving"]


def test_the_output_file_and_the_former_name_of_a_module_are_no_other_command(after: Results) -> None:
    after["serving"]["command"] += " --out build/serving.json"
    assert incomparable(everything(), after) == {}
    after["serving"]["command"] = "python -m benchmarks.serving"
    assert incomparable(everything(), after) == {}


def test_the_exit_code_stops_a_build_where_a_figure_is_worse(
    tmp_path: Path, after: Results, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slower(after["serving"], 0.5)
    for folder, results in (("fast", everything()), ("slow", after)):
        for name, result in results.items():
            write_json(tmp_path / folder / f"{name}.json", result)
    assert compared(monkeypatch, tmp_path / "fast", tmp_path / "fast") == 0
    assert compared(monkeypatch, tmp_path / "slow", tmp_path / "fast") == 0
    capsys.readouterr()
    assert compared(monkeypatch, tmp_path / "fast", tmp_path / "slow") == 1
    shown = capsys.readouterr().out
    assert "worse" in shown
    assert AGAINST in shown


def test_nothing_to_compare_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["compare", str(tmp_path / "nowhere")])
    with pytest.raises(CommentwiseError, match="nowhere is not a folder"):
        compare.main()
    monkeypatch.setattr(sys, "argv", ["compare", str(tmp_path), str(tmp_path)])
    with pytest.raises(CommentwiseError, match="no results before"):
        compare.main()


def test_without_folders_it_compares_with_the_results_in_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> None:
        author = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
        subprocess.run(["git", *author, *arguments], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.chdir(tmp_path)
    results = tmp_path / "results"
    git("init")
    for speed in (1.0, 2.0):
        sample = copy.deepcopy(everything()["serving"])
        slower(sample, speed)
        write_json(results / "serving.json", sample)
        git("add", ".")
        git("commit", "-m", "results")
    assert committed(Path("results"), "HEAD") == read_results(results)
    label, before = compare.baseline(Path("results"))
    assert label.startswith("the results before commit ")
    assert measured_server(before["serving"], "commentwise")["peak_per_second"] == 320.0
    slower(sample, 0.5)
    write_json(results / "serving.json", sample)
    label, before = compare.baseline(Path("results"))
    assert label == "the last commit"
    assert verdicts(before, read_results(results))[AGAINST] == "worse"
    git("checkout", "--orphan", "empty")
    git("rm", "-r", "-f", "--cached", ".")
    assert compare.baseline(Path("results")) == ("earlier results", {})


def test_committed_results_of_another_form_are_no_baseline_and_an_error_of_the_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    author = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    monkeypatch.chdir(tmp_path)
    write_json(tmp_path / "results" / "training.json", {"command": "python -m benchmarks.training"})
    for arguments in (["init"], ["add", "."], ["commit", "-m", "results"]):
        subprocess.run(["git", *author, *arguments], cwd=tmp_path, check=True, capture_output=True)
    write_json(tmp_path / "results" / "training.json", everything()["training"])
    assert compare.baseline(Path("results")) == ("earlier results", {})
    with pytest.raises(CommentwiseError, match=r"results/training\.json in HEAD: machine: Field required"):
        committed(Path("results"), "HEAD")

"""The gate: it tells noise from change, both ways, and says so by its exit code."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report import compare
from benchmarks.report.compare import changes, committed, unlike
from benchmarks.report.figures import read_results
from commentwise.errors import CommentwiseError
from commentwise.fileio import write_json
from tests.benchmarks.samples import everything
from tests.benchmarks.test_report import slower

AGAINST = "serving/commentwise/against infinity"


def verdicts(before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    return {change.name: change.verdict for change in changes(before, after)}


def compared(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> int:
    """The exit code of the command."""
    monkeypatch.setattr(sys, "argv", ["compare", *map(str, folders)])
    with pytest.raises(SystemExit) as ended:
        compare.main()
    return int(ended.value.code or 0)


@pytest.fixture
def after() -> dict[str, Any]:
    return copy.deepcopy(everything())


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.6, "worse"), (0.97, "within noise"), (1.03, "within noise"), (1.6, "better")]
)
def test_a_speed_is_judged_by_its_ratio_beyond_the_rounds_spread(
    after: dict[str, Any], share: float, verdict: str
) -> None:
    slower(after["serving"], share)
    assert verdicts(everything(), after)[AGAINST] == verdict
    assert verdicts(everything(), after)["serving/commentwise/speed"] == "not judged"


def test_a_machine_that_is_half_as_fast_in_all_is_no_change(after: dict[str, Any]) -> None:
    for server in after["serving"]["servers"].values():
        for facts in server.get("closed", {}).values():
            facts["requests_per_second"] /= 2
            facts["rounds"] = [found / 2 for found in facts["rounds"]]
        if "closed" in server:
            server["peak_per_second"] /= 2
            server["engine_beside"] /= 2
    assert not {"worse", "better"} & set(verdicts(everything(), after).values())


def test_rounds_that_lie_apart_hide_a_change_that_they_cannot_tell(after: dict[str, Any]) -> None:
    slower(after["serving"], 0.8)
    assert verdicts(everything(), after)[AGAINST] == "worse"
    closed = after["serving"]["servers"]["commentwise"]["closed"]["32"]
    closed["rounds"] = [0.5 * closed["rounds"][0], closed["rounds"][0], 1.6 * closed["rounds"][0]]
    assert verdicts(everything(), after)[AGAINST] == "within noise"


@pytest.mark.parametrize(("loss", "verdict"), [(0.012, "worse"), (0.004, "within noise"), (-0.012, "better")])
def test_quality_has_a_tolerance_of_its_own(after: dict[str, Any], loss: float, verdict: str) -> None:
    after["engines"]["engines"]["ONNX Runtime int8"]["quality"]["f1_loss"] = loss
    assert verdicts(everything(), after)["engines/ONNX Runtime int8/macro-F1 lost"] == verdict


def test_one_label_that_neighbours_change_is_worse(after: dict[str, Any]) -> None:
    after["engines"]["engines"]["ONNX Runtime int8"]["batches"]["8"]["neighbour_label_changes"] = 1
    assert verdicts(everything(), after)["engines/ONNX Runtime int8/labels that neighbours change"] == "worse"


def test_figures_that_come_and_go_are_told(after: dict[str, Any]) -> None:
    after["serving"]["servers"]["infinity"] = {"what": "", "missing": "gone"}
    assert verdicts(everything(), after)[AGAINST] == "gone"
    assert verdicts(after, everything())[AGAINST] == "new"


@pytest.mark.parametrize("change", [{"machine": {"processor": "Other CPU", "cores": 8}}, {"command": "another"}])
def test_another_machine_or_command_is_not_judged_and_named(after: dict[str, Any], change: dict[str, Any]) -> None:
    slower(after["serving"], 0.5)
    after["serving"] |= change
    assert verdicts(everything(), after)[AGAINST] == "not judged"
    assert list(unlike(everything(), after)) == ["serving"]


def test_where_the_figures_went_is_no_other_command(after: dict[str, Any]) -> None:
    after["serving"]["command"] += " --out build/serving.json"
    assert unlike(everything(), after) == {}


def test_exit_code_is_for_a_build_to_stop_at(
    tmp_path: Path, after: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
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
    with pytest.raises(CommentwiseError, match="nowhere is no folder"):
        compare.main()
    monkeypatch.setattr(sys, "argv", ["compare", str(tmp_path), str(tmp_path)])
    with pytest.raises(CommentwiseError, match="there are no results before"):
        compare.main()


def test_without_folders_it_compares_with_what_git_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

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
    assert before["serving"]["servers"]["commentwise"]["peak_per_second"] == 320.0
    slower(sample, 0.5)
    write_json(results / "serving.json", sample)
    label, before = compare.baseline(Path("results"))
    assert label == "the last commit"
    assert verdicts(before, read_results(results))[AGAINST] == "worse"
    git("checkout", "--orphan", "empty")
    git("rm", "-r", "-f", "--cached", ".")
    assert compare.baseline(Path("results")) == ("earlier results", {})

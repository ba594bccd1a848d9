"""The live table of `commentwise train` understands what DVC prints."""

import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from commentwise.errors import CommentwiseError
from commentwise.training.workspace import live
from commentwise.training.workspace.dvc import run_dvc
from commentwise.training.workspace.live import LINE, Stages, stage_table

STAGES = """
stages:
  good: {cmd: "echo good: half; echo good: all well > good.txt; cat good.txt", outs: [good.txt]}
  next: {cmd: "echo next: well, too > next.txt; cat next.txt", deps: [good.txt], outs: [next.txt]}
  broken: {cmd: "echo broken: reads; echo error: no memory >&2; exit 3", deps: [next.txt]}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for command in (["git", "init", "--quiet"], [sys.executable, "-m", "dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    (tmp_path / "dvc.yaml").write_text(STAGES, encoding="utf-8")
    return tmp_path


def rows(stages: Stages) -> dict[str, tuple[str, list[str]]]:
    return {name: (stage.state, stage.lines) for name, stage in stages.stages.items()}


def test_states_and_lines_of_stages(project: Path) -> None:
    first, second, third = Stages(), Stages(), Stages()
    run_dvc(["repro", "next"], project, first.read)
    assert rows(first) == {"good": ("done", ["good: half", "good: all well"]), "next": ("done", ["next: well, too"])}
    (project / "next.txt").unlink()
    run_dvc(["repro", "next"], project, second.read)
    assert rows(second) == {"good": ("unchanged", []), "next": ("from the cache", [])}
    with pytest.raises(CommentwiseError, match="failed"):
        run_dvc(["repro"], project, third.read)
    state, lines = rows(third)["broken"]
    assert state == "running"
    assert lines[:2] == ["broken: reads", "error: no memory"]


def test_progress_bars_are_seen_and_do_not_become_lines(project: Path) -> None:
    bar = "import rich.progress as p; [None for _ in p.track(range(9), 'bar')]; print('bar: ready')"
    (project / "dvc.yaml").write_text(f'stages:\n  bar: {{cmd: "{sys.executable} -c \\"{bar}\\""}}\n', encoding="utf-8")
    stages, seen = Stages(), []

    def show(line: str) -> None:
        stages.read(line)
        seen.append(line)

    run_dvc(["repro"], project, show, LINE)
    bars = [line for line in seen if line.startswith("bar ") and "%" in line]
    assert any(line.endswith("\r") for line in bars)
    assert rows(stages)["bar"] == ("done", [bars[-1], "bar: ready"])


def test_the_table_ends_with_all_lines_of_the_stage_that_failed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(live, "Console", lambda: Console(force_terminal=True, width=80))
    with pytest.raises(CommentwiseError), stage_table() as show:
        run_dvc(["repro"], project, show, LINE)
    printed = capsys.readouterr().out
    assert "all well" in printed
    assert "failed" in printed
    assert printed.index("broken: reads\n") < printed.index("error: no memory\n")


def test_without_a_terminal_the_lines_are_left_alone() -> None:
    with stage_table() as show:
        assert show is None

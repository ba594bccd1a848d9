"""The parts of a retraining that need no pipeline; tests/e2e/test_retraining.py runs a complete one."""

import json
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from commentwise.errors import CommentwiseError
from commentwise.fileio import write_json, write_text
from commentwise.monitoring.actions import retrain, working_tree
from commentwise.monitoring.actions.recent_comments import as_source, labelled_rows, part_of
from commentwise.monitoring.actions.retrain import (
    Files,
    Retraining,
    alone,
    carry_out,
    finish,
    read_state,
    refuse_repeated_loss,
)
from commentwise.monitoring.actions.working_tree import put_back, set_source, uncached_files
from commentwise.monitoring.project import MonitoredProject

RETRAINING = Retraining("a", "ann", "today", "why", False, "data/retrain/a.jsonl", 50, 20)
LOSS = {"passed": False, "alias": "challenger", "reason": "why"}


@pytest.fixture
def project(tmp_path: Path) -> MonitoredProject:
    return MonitoredProject(tmp_path)


@pytest.fixture
def files(project: MonitoredProject) -> Files:
    return Files(project)


def test_a_second_retraining_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    refused = pytest.raises(CommentwiseError, match=r"another retraining holds .*lock")
    with alone(lock), refused, alone(lock):
        pass
    with alone(lock):
        pass


def test_a_comment_always_goes_to_the_same_part_and_many_go_to_the_test_part() -> None:
    parts = [part_of(f"comment {number}") for number in range(2000)]
    assert parts == [part_of(f" comment  {number}") for number in range(2000)]
    assert parts.count("test") == pytest.approx(700, abs=80)
    assert parts.count("validation") == pytest.approx(300, abs=60)


def test_optional_columns_and_times_in_any_form_reach_ingest() -> None:
    split = pd.DataFrame(
        {
            "comment_id": ["c1"],
            "published_at": [pd.Timestamp("2026-01-02T03:04:05Z")],
            "text": ["für"],
            "label": ["neutral"],
            "part": ["test"],
            "like_count": pd.array([None], dtype="Int64"),
            "author": ["3f2a"],
        }
    )
    recent = [{"comment_id": "r1", "text": "a", "label": "neutral", "published_at": "1/2/2026 10:00", "rater": "ann"}]
    old, new = map(json.loads, as_source(split, "few.csv", recent).splitlines())
    assert (old["author"], old["like_count"], old["part"], old["text"]) == ("3f2a", None, "test", "für")
    assert pd.Timestamp(old["published_at"]) == split["published_at"][0]
    assert (new["published_at"], new["part"], "rater" in new) == ("1/2/2026 10:00", part_of("a"), False)
    assert old["source"] == "few.csv"
    again = as_source(split.assign(source="feedback"), "data/retrain/a.jsonl", [])
    assert json.loads(again)["source"] == "feedback"  # of the retraining before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "row 2 cannot be read"),
        ("7", "row 2 cannot be read"),
        ('{"text": "a"}', "row 2 has no label"),
        ('{"text": 7, "label": "neutral"}', "row 2: column 'text' holds a number"),
    ],
)
def test_a_line_that_is_not_a_labelled_comment_is_named(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "more.jsonl"
    write_text(path, '{"text": "a", "label": "neutral"}\n' + line + "\n")
    with pytest.raises(CommentwiseError, match=f"--also .*more.jsonl, {message}"):
        labelled_rows(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError, match=r"cannot read .*more.jsonl"):
        labelled_rows(tmp_path / "more.jsonl")


def test_comments_are_read_from_csv_as_in_training(tmp_path: Path) -> None:
    path = tmp_path / "more.csv"
    path.write_bytes('\ufefftext;label\n"gut; wirklich";positive\n'.encode())
    assert labelled_rows(path) == [{"text": "gut; wirklich", "label": "positive"}]
    path.write_text("text,label\ngood, really,positive\n", encoding="utf-8")
    with pytest.raises(CommentwiseError, match=r"--also .*more.csv, row 1 cannot be read \(wrong number of cells: 3"):
        labelled_rows(path)


def test_a_loss_is_not_repeated_and_a_win_may_be(files: Files) -> None:
    gates = {"a": False, "b": True}
    lines = [{"id": name, "when": "today", "gate": {"passed": won, "reason": "why"}} for name, won in gates.items()]
    write_text(files.record, "".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(CommentwiseError, match=r"were tried on today and lost \(why\): collect more feedback"):
        refuse_repeated_loss(files, "a")
    refuse_repeated_loss(files, "b")
    refuse_repeated_loss(files, "c")


@pytest.mark.parametrize("content", ["{", "[]", '{"id": "a"}'])
def test_a_damaged_state_is_an_error_with_the_way_out(content: str, files: Files) -> None:
    write_text(files.state, content)
    with pytest.raises(CommentwiseError, match=r"copy the files of .*artifacts/retraining/present/kept back"):
        read_state(files)


def test_a_decision_is_not_taken_twice(
    project: MonitoredProject, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a kill in `finish`, neither pipeline nor gate run again: the data of a loser may be gone by then."""
    write_json(files.decision, LOSS)
    monkeypatch.setattr(retrain, "run", lambda *_, **__: pytest.fail("the pipeline ran"))
    monkeypatch.setattr(retrain, "decide", lambda *_, **__: pytest.fail("the gate ran"))
    assert carry_out(RETRAINING, project) == LOSS


def test_what_dvc_does_not_cache_is_kept(project: MonitoredProject) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=project.root, check=True)
    lock = {"stages": {"evaluate": {"outs": [{"path": "metrics.json"}, {"path": "curve.csv"}, {"path": "gone.json"}]}}}
    write_json(project.lock, lock)
    write_text(project.root / ".gitignore", "/curve.csv\n")
    resources = project.resources("svm").relative_to(project.root)
    for path in ("params.yaml", "metrics.json", "curve.csv", resources):
        write_text(project.root / path, "content")
    kept = ["params.yaml", "dvc.lock", str(resources), "metrics.json"]
    assert [str(path) for path in uncached_files(project)] == kept


@pytest.fixture
def lost(project: MonitoredProject, files: Files, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A retraining that has lost, in a git repository; the DVC commands that its end runs."""
    commands: list[tuple[Any, ...]] = []
    monkeypatch.setattr(working_tree, "run", lambda *command, **_: commands.append(command))
    subprocess.run(["git", "init", "--quiet"], cwd=project.root, check=True)
    write_text(project.params, "after")
    write_text(project.root / RETRAINING.data, "{}")
    write_text(project.root / f"{RETRAINING.data}.dvc", "outs:")
    return commands


def write_current(files: Files) -> None:
    write_json(files.state, asdict(RETRAINING))
    write_text(files.kept / "params.yaml", "before")


def test_after_a_loss_the_files_are_restored(
    project: MonitoredProject, files: Files, lost: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    write_current(files)
    finish(RETRAINING, LOSS, project, tmp_path / "reference.json")
    assert project.params.read_text(encoding="utf-8") == "before"
    assert not (project.root / RETRAINING.data).exists()
    assert lost == [("dvc", "remove", f"{RETRAINING.data}.dvc"), ("dvc", "checkout", "--force")]
    assert not files.current.exists()


def test_restoring_can_be_repeated(project: MonitoredProject, files: Files, lost: list[tuple[Any, ...]]) -> None:
    write_current(files)
    for _ in range(2):
        put_back(project, files.kept, RETRAINING.data)
    assert project.params.read_text(encoding="utf-8") == "before"


def test_a_retraining_killed_after_its_record_is_recorded_once(
    project: MonitoredProject, files: Files, lost: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    for _ in range(2):
        write_current(files)
        finish(RETRAINING, LOSS, project, tmp_path / "reference.json")
    (line,) = files.record.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["gate"] == LOSS


def test_params_name_the_new_source_and_keep_their_comments(project: MonitoredProject) -> None:
    text = "seed: 1   # why\ndata:\n  path: a.csv # where\n  hub: x\n  label_map: {'0': negative}\n  columns: {text: Comment}\n"
    write_text(project.params, text)
    set_source(project, "data/retrain/new.jsonl")
    written = project.params.read_text(encoding="utf-8")
    assert ("# why" in written, "# where" in written) == (True, True)
    assert "path: data/retrain/new.jsonl" in written
    assert "text: text" in written

"""The parts of a retraining that need no pipeline; tests/e2e/test_retraining.py runs it whole."""

import json
import subprocess
from pathlib import Path

import pytest

from commentwise.errors import CommentwiseError
from commentwise.fileio import write_json, write_text
from commentwise.monitoring.actions import retrain
from commentwise.monitoring.actions.retrain import (
    RECORD,
    STATE,
    alone,
    labelled_lines,
    part_of,
    read_state,
    refuse_what_lost,
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_two_at_once_are_refused_and_the_lock_ends_with_its_holder() -> None:
    refused = pytest.raises(CommentwiseError, match="another retraining holds lock")
    with alone(Path("lock")), refused, alone(Path("lock")):
        pass
    with alone(Path("lock")):
        pass


def test_a_comment_goes_to_the_same_part_every_time_and_many_to_the_test() -> None:
    parts = [part_of(f"comment {number}") for number in range(2000)]
    assert parts == [part_of(f" comment  {number}") for number in range(2000)]
    assert parts.count("test") == pytest.approx(700, abs=80)
    assert parts.count("validation") == pytest.approx(300, abs=60)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 is no JSON"),
        ("7", "line 2 has no text and label"),
        ('{"text": "a"}', "line 2 has no text and label"),
        ('{"text": 7, "label": "neutral"}', "line 2 has no text and label"),
    ],
)
def test_a_line_that_is_no_labelled_comment_is_named(line: str, message: str) -> None:
    write_text(Path("more.jsonl"), '{"text": "a", "label": "neutral"}\n' + line + "\n")
    with pytest.raises(CommentwiseError, match=f"--also more.jsonl, {message}"):
        labelled_lines(Path("more.jsonl"))


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(content: bytes | None) -> None:
    if content:
        Path("more.jsonl").write_bytes(content)
    with pytest.raises(CommentwiseError, match=r"--also more.jsonl cannot be read"):
        labelled_lines(Path("more.jsonl"))


def test_what_lost_is_not_tried_again_and_what_won_may_be() -> None:
    gates = {"a": False, "b": True}
    lines = [{"id": name, "when": "today", "gate": {"passed": won, "reason": "why"}} for name, won in gates.items()]
    write_text(RECORD, "".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(CommentwiseError, match=r"were tried on today and lost \(why\): collect more feedback"):
        refuse_what_lost("a")
    refuse_what_lost("b")
    refuse_what_lost("c")


def test_a_damaged_state_is_said_so_with_the_way_out() -> None:
    write_text(STATE, "{")
    with pytest.raises(CommentwiseError, match="put the files of artifacts/retraining/present/kept back"):
        read_state()


def test_killed_between_its_record_and_its_end_it_is_recorded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"id": "a", "when": "today", "data": "data/retrain/a.jsonl"}
    result = {"passed": False, "alias": "challenger", "reason": "why"}
    monkeypatch.setattr(retrain, "run", lambda *_: None)
    subprocess.run(["git", "init", "--quiet"], check=True)
    write_text(retrain.KEPT / "params.yaml", "before")
    for _ in range(2):
        write_text(Path("params.yaml"), "after")
        write_json(STATE, state)
        write_text(retrain.KEPT / "params.yaml", "before")
        retrain.finish(state, result, Path("reference.json"))
        assert Path("params.yaml").read_text() == "before"
        assert not retrain.PRESENT.exists()
    (line,) = RECORD.read_text().splitlines()
    assert json.loads(line)["gate"] == result


def test_params_read_the_new_source_and_keep_their_comments() -> None:
    text = "seed: 1   # why\ndata:\n  path: a.csv # where\n  hub: x\n  label_map: {'0': negative}\n  columns: {text: Comment}\n"
    write_text(Path("params.yaml"), text)
    retrain.point_params_at("data/retrain/new.jsonl")
    written = Path("params.yaml").read_text()
    assert ("# why" in written, "# where" in written) == (True, True)
    assert "path: data/retrain/new.jsonl" in written
    assert "text: text" in written

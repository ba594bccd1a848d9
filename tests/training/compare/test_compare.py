"""The differences between versions, in a real small project whose data, parameters and code change one after the other."""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from commentwise.comments.normalize import normalize
from commentwise.errors import CommentwiseError
from commentwise.fileio import read_json
from commentwise.models.bundle import Classifier
from commentwise.training.compare import command
from commentwise.training.compare.champion import against_champion
from commentwise.training.compare.sides import opened
from commentwise.training.project import Project
from commentwise.training.registry import history
from tests.lab import RELABELLED, REMOVED, Lab


@pytest.fixture
def compared(lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `commentwise compare` with arguments and returns its output."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["commentwise compare", *arguments])
        command.main()
        return capsys.readouterr().out

    return run


def test_an_overwritten_file_is_the_cause_that_is_named(compared: Any, tmp_path: Path) -> None:
    found = json.loads(compared("1", "2", "--json"))
    rows = found["data"]["ingested"]
    assert (rows["before"], rows["after"]) == (500, 440)
    assert (rows["added"], rows["removed"], rows["relabelled"], rows["reworded"]) == (0, REMOVED, RELABELLED, 0)
    assert sum(each["comments"] for each in rows["relabellings"]) == RELABELLED
    assert {each["name"] for each in found["data"]["source"]} == {"source_md5", "raw_md5", "prepared_md5"}
    assert (found["params"], found["code"]["files"], found["environment"]) == ([], [], [])
    printed = compared("1", "2", "--out", str(tmp_path / "page.html"))
    assert "Data: 500 -> 440 rows: 60 removed, 50 relabelled." in printed
    assert "Parameters: the same." in printed
    assert "Code: the same." in printed
    assert max(map(len, printed.splitlines()[:-1])) <= 80  # the last line names the page
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "500 -&gt; 440 comments: 0 added, 60 removed." in page


def test_a_changed_parameter_is_the_cause_that_is_named(compared: Any) -> None:
    found = json.loads(compared("2", "3", "--json"))
    assert found["params"] == [{"name": "families.logreg.C", "before": [2], "after": [0.5]}]
    assert (found["data"]["source"], found["code"]["files"]) == ([], [])
    scores = found["scores"]
    assert scores["left_out"] == {}
    assert scores["comments"] == found["after"]["own_test_comments"]
    for side in ("before", "after"):
        assert scores["macro_f1"][side] == pytest.approx(found[side]["own_test"]["macro_f1"]["value"])
    difference = scores["macro_f1"]["after"] - scores["macro_f1"]["before"]
    assert scores["macro_f1"]["difference"] == pytest.approx(difference)
    assert scores["macro_f1"]["low"] <= difference <= scores["macro_f1"]["high"]
    flips = scores["flips"]
    assert scores["accuracy"]["difference"] == pytest.approx(
        (flips["won"]["comments"] - flips["lost"]["comments"]) / scores["comments"]
    )
    for flip in flips["lost"]["examples"]:
        assert flip["before"] == flip["label"] != flip["after"]
    assert "Parameters: families.logreg.C [2] -> [0.5]." in " ".join(compared("2", "3").split())


def test_changed_preprocessing_is_the_cause_that_is_named(compared: Any) -> None:
    found = json.loads(compared("3", "4", "--json"))
    assert found["code"]["files"] == ["comments/normalize.py"]
    assert [commit.split(" ", 1)[1] for commit in found["code"]["commits"]] == ["lower case"]
    assert {each["name"] for each in found["data"]["source"]} == {"prepared_md5"}
    texts = [row["text"] for row in Lab.read()]
    capitals = sum(normalize(text).lower() != normalize(text) for text in texts)
    assert found["data"]["preprocessed_differently"] == capitals > 100
    printed = " ".join(compared("3", "4").split())
    assert f"Data: the same rows, prepared in another way; preprocessing changed the text of {capitals}." in printed
    assert "Code: changed in preprocessing (comments/normalize.py)." in printed


def test_no_comment_that_either_has_seen_is_judged(compared: Any, lab: Path) -> None:
    scores = json.loads(compared("1", "2", "--json"))["scores"]
    with opened(Project(), "1") as one, opened(Project(), "2") as other:
        assert one.split is not None
        assert other.split is not None
        tested = {identifier for side in (one, other) for identifier in in_part(side.split, "test")}
        seen = {name for side in (one, other) for part in ("train", "validation") for name in in_part(side.split, part)}
        same = one.split.merge(other.split, on="comment_id")
        relabelled = set(same.loc[same["label_x"] != same["label_y"], "comment_id"])
        assert scores["comments"] == len(tested - seen - relabelled) > 10
        assert sum(scores["left_out"].values()) == len(tested) - scores["comments"]
        rows = one.split[one.split["comment_id"].isin(tested - seen - relabelled)]
        right = [
            answer.label == label
            for answer, label in zip(Classifier(one.bundle).predict(rows["text"].tolist()), rows["label"], strict=True)
        ]
        assert scores["accuracy"]["before"] == pytest.approx(sum(right) / len(right))


def in_part(split: Any, part: str) -> set[str]:
    table: pd.DataFrame = split
    return set(table.loc[table["part"] == part, "comment_id"])


def test_sides_are_named_by_alias_address_revision_or_workspace(lab: Path) -> None:
    bundles = {}
    for name in ("1", "champion", "models:/commentwise/1", "models:/commentwise@champion", "HEAD~6"):
        with opened(Project(), name) as side:
            bundles[name] = (side.bundle_id, side.data["raw_md5"], side.raw is not None and len(side.raw))
    assert len(set(bundles.values())) == 1
    with opened(Project(), "workspace") as workspace, opened(Project(), "HEAD") as head, opened(Project(), "4") as last:
        assert workspace.bundle_id == head.bundle_id == last.bundle_id
    with opened(Project(), "mild") as mild:
        assert mild.title == "experiment mild"
        assert mild.manifest["params"]["families"]["logreg"]["C"] == [0.001]
        assert mild.split is not None
    with pytest.raises(CommentwiseError, match="'nobody' is neither 'workspace', a version, an alias, an experiment"):
        opened(Project(), "nobody").__enter__()


def test_the_champion_of_today_is_known_with_its_data(
    lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["commentwise history", "--at", "today"])
    history.main()
    assert "the champion of 'commentwise' was version 1" in " ".join(capsys.readouterr().out.split())
    monkeypatch.setattr(sys, "argv", ["commentwise history", "--json"])
    history.main()
    versions = json.loads(capsys.readouterr().out)["versions"]
    assert [sum(version["data"]["rows"].values()) for version in versions] == [500, 440, 440, 440]
    assert len({version["data"]["raw_md5"] for version in versions}) == 2


def test_the_new_bundle_is_compared_with_the_champion_in_a_few_lines(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    against_champion(Project())
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 5
    assert "test comments that neither has seen; left out: " in lines[1]
    assert "60 removed, 50 relabelled" in lines[2]
    assert "families.logreg.C [2] -> [0.5]" in lines[3]
    assert "preprocessing (comments/normalize.py)" in lines[4]


def test_data_that_are_no_longer_kept_are_named_and_the_rest_is_compared(compared: Any) -> None:
    md5 = read_json(Path("artifacts/bundle/manifest.json"))["data"]
    with opened(Project(), "1") as side:
        digest = side.data["prepared_md5"]
    kept = Path(".dvc/cache/files/md5") / digest[:2] / digest[2:]
    aside = kept.with_name("aside")
    kept.rename(aside)
    try:
        found = json.loads(compared("1", "2", "--json"))
    finally:
        aside.rename(kept)
    assert md5["prepared_md5"] != digest
    assert found["scores"] is None
    assert found["data"]["ingested"]["removed"] == REMOVED
    assert any(f"md5 {digest} are neither in DVC's cache" in note for note in found["notes"])
    assert any("nobody knows which comments it has seen" in note for note in found["notes"])

"""`make drift-demo` with the real server, from the first champion to one that understands the different comments."""

import json
from pathlib import Path
from typing import Any

import pytest

from commentwise.serving.demo import free_port
from tests.project import ROOT, Project

pytestmark = pytest.mark.slow

SAMPLE = 2026
TOLERANCE = 0.05


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.create(tmp_path_factory.mktemp("story"), SAMPLE)


@pytest.fixture(scope="module")
def story(project: Project) -> dict[str, Any]:
    shifted = ROOT / "data/sample/shifted.jsonl"
    printed = project.module("commentwise.monitoring.demo", "--shifted", str(shifted), "--port", str(free_port()))
    print(printed)
    return dict(json.loads((project.folder / "artifacts/drift-demo/story.json").read_text(encoding="utf-8")))


def test_comments_as_expected_raise_no_alarm(story: dict[str, Any]) -> None:
    assert "alert" not in story["expected"]["severities"]
    assert story["expected"]["severity"] == "none"


def test_different_comments_are_an_alert_within_two_windows_and_the_cause_is_named(story: dict[str, Any]) -> None:
    assert len(story["shifted"]["severities"]) == 2
    assert story["shifted"]["severities"][-1] == "alert"
    assert "do not occur in the training comments" in story["shifted"]["summary"]


@pytest.mark.parametrize("part", ["expected", "shifted"])
def test_the_estimate_is_close_to_the_true_accuracy(story: dict[str, Any], part: str) -> None:
    assert story[part]["estimated_accuracy"] == pytest.approx(story[part]["true_accuracy"], abs=TOLERANCE)


def test_the_estimate_falls_with_the_true_accuracy(story: dict[str, Any]) -> None:
    assert story["shifted"]["estimated_accuracy"] < story["expected"]["estimated_accuracy"]


def test_the_new_champion_understands_the_different_comments_and_still_the_old_ones(story: dict[str, Any]) -> None:
    assert story["gate"]["passed"]
    assert story["after"]["held_back"] >= story["before"]["held_back"] + 0.05
    old = story["gate"]["old"]
    assert story["after"]["old_test"] == pytest.approx(old["challenger_accuracy"], abs=0.005)  # int8 over HTTP
    assert old["challenger_accuracy"] >= old["champion_accuracy"] - 2 * (0.25 / old["comments"]) ** 0.5


def test_the_demo_changes_nothing_in_the_repository(project: Project, story: dict[str, Any]) -> None:
    assert project.run("git", "status", "--porcelain") == ""
    assert not Path(project.folder / "mlflow.db").exists()

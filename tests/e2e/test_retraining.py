"""Retraining in a repository of its own, from feedback to champion and back. The tests run in order and build on each other."""

import json
import time

import psutil
import pytest

from models.bundle import Classifier, bundle_id
from models.normalize import normalize
from models.prediction_log import Feedback, connect, insert_feedback, prepare
from models.signals import text_hash
from tests.project import Project

URL = "sqlite:///predictions.db"
SLANG = {"negative": "rekt", "neutral": "rebalance", "positive": "wagmi"}
PLACES = ["lobby", "market", "stream", "server", "guild", "desk", "raid", "chart", "pool", "arena"]


def slang(number: int) -> tuple[str, str]:
    """A comment from a community the model does not know, and its label."""
    label = sorted(SLANG)[number % 3]
    place, other = PLACES[number // 3 % 10], PLACES[number // 30 % 10]
    return f"{SLANG[label]} again in {place} {number} says the {other} {SLANG[label]}", label


def give_feedback(project: Project, numbers: range) -> None:
    engine = connect(f"sqlite:///{project.folder / 'predictions.db'}")
    prepare(engine)
    with engine.begin() as connection:
        for number in numbers:
            text, label = slang(number)
            name = text_hash(normalize(text))
            insert_feedback(
                connection, Feedback(str(number), time.time(), None, None, name, text, label, None, None, "test", "ann")
            )
    engine.dispose()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.create(tmp_path_factory.mktemp("retraining"))
    project.repro()
    project.module("training.publish")
    project.commit("first champion")
    return project


def alias(project: Project) -> int:
    lineage = json.loads(project.module("training.lineage", "champion", "--json"))
    return int(lineage["version"])


def retrain(project: Project, fails: bool = False) -> str:
    return project.module("monitoring.retrain", "--prediction-log", URL, "--why", "slang", fails=fails)


def test_too_little_feedback_changes_nothing(project: Project) -> None:
    give_feedback(project, range(10))
    assert "10 labelled comments are new and a retraining needs 40" in retrain(project, fails=True)
    assert project.run("git", "status", "--porcelain", "--untracked-files=no") == ""


def test_a_killed_retraining_keeps_others_out_while_it_runs_and_is_taken_up_where_it_was(project: Project) -> None:
    give_feedback(project, range(240))
    process = project.start("monitoring.retrain", "--prediction-log", URL, "--why", "slang")
    state = project.folder / "artifacts/monitoring/retraining/state.json"
    train = project.folder / "artifacts/candidates/logreg/metrics.json"
    before = train.stat().st_mtime_ns
    while train.exists() and train.stat().st_mtime_ns == before:  # until it is in the middle of the pipeline
        assert process.poll() is None
        time.sleep(0.2)
    assert "another retraining holds" in retrain(project, fails=True)
    for child in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        child.kill()
    process.communicate()
    begun = json.loads(state.read_text(encoding="utf-8"))
    give_feedback(project, range(240, 300))  # what comes meanwhile belongs to the next one
    printed = retrain(project)
    assert f"going on with {begun['id']}" in printed
    assert not state.exists()
    (line,) = (project.folder / "artifacts/monitoring/retrainings.jsonl").read_text(encoding="utf-8").splitlines()
    record = json.loads(line)
    assert (record["id"], record["why"], record["recent"]) == (begun["id"], "slang", 240)
    assert record["who"]


def test_the_winner_is_champion_knows_the_slang_and_has_its_reference(project: Project) -> None:
    assert alias(project) == 2
    bundle = project.folder / "artifacts/bundle"
    texts = [slang(number) for number in range(300, 360)]
    answers = Classifier(bundle).predict([text for text, _ in texts])
    assert sum(answer.label == label for answer, (_, label) in zip(answers, texts, strict=True)) > 45
    reference = json.loads((project.folder / "artifacts/monitoring/reference.json").read_text(encoding="utf-8"))
    assert reference["bundle_id"] == bundle_id(bundle)
    params = (project.folder / "params.yaml").read_text(encoding="utf-8")
    assert "data/retrain/" in params
    assert project.repro() == []


def test_a_loser_leaves_everything_as_it_was(project: Project) -> None:
    project.commit("second champion")
    give_feedback(project, range(300, 400))  # it knows them already, so there is nothing to win
    assert "no sure win on the recent ones" in retrain(project)
    assert alias(project) == 2
    assert project.run("git", "status", "--porcelain", "--untracked-files=no", "params.yaml", "dvc.lock") == ""
    assert project.repro() == []


def test_rolling_back(project: Project) -> None:
    assert "version 1 of 'commentwise' is champion instead of 2" in project.module("training.rollback", "--why", "test")
    assert alias(project) == 1

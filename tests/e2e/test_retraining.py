"""Retraining in a separate repository, from feedback to champion and back. Each test builds on the one before."""

import json
import sys
import time
from contextlib import suppress
from typing import Any

import httpx
import psutil
import pytest

from commentwise.comments.normalize import normalize
from commentwise.comments.traits import text_hash
from commentwise.models.bundle import Classifier, bundle_id
from commentwise.models.prediction_log import Feedback, connect, insert_feedback, prepare
from tests.project import Project
from tests.serving.process import started
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.slow

STEPS = (
    "recent comments, ",
    "Running stage 'prepare'",
    "Running stage 'train@svm'",
    "Running stage 'select'",
    "Running stage 'export'",
)
"""Output of a retraining up to the gate, in order; most of it comes from the pipeline's processes."""
STEPS_AFTER_A_WIN = ("gate: version", "reference: ")
"""Output of its own process, when the alias has moved."""
STEPS_AFTER_A_LOSS = ("gate: version", "retrain: restoring")
KILLED_BY_PRINT = """
import builtins, os, runpy, signal, sys

step, *sys.argv = sys.argv[1:]
original = builtins.print

def print_and_die(*values, **options):
    original(*values, **options)
    if step in " ".join(map(str, values)):
        os.kill(os.getpid(), signal.SIGKILL)

builtins.print = print_and_die
runpy.run_module(sys.argv[0], run_name="__main__")
"""
"""Runs a module and kills itself as soon as it prints a text: from outside, a kill would come too late for short steps."""
URL = "sqlite:///predictions.db"
SLANG = {"negative": "rekt", "neutral": "rebalance", "positive": "wagmi"}
PLACES = ["lobby", "market", "stream", "server", "guild", "desk", "raid", "chart", "pool", "arena"]


def slang(number: int) -> tuple[str, str]:
    """A comment from a community that the model does not know, and its label."""
    label = sorted(SLANG)[number % 3]
    place, other = PLACES[number // 3 % 10], PLACES[number // 30 % 10]
    return f"{SLANG[label]} again in {place} {number} says the {other} {SLANG[label]}", label


def give_feedback(project: Project, numbers: range) -> None:
    engine = connect(f"sqlite:///{project.folder / 'predictions.db'}")
    prepare(engine)
    with engine.begin() as connection:
        for number in numbers:
            text, label = slang(number)
            digest = text_hash(normalize(text))
            insert_feedback(
                connection,
                Feedback(str(number), time.time(), None, None, digest, text, label, None, None, "test", "ann"),
            )
    engine.dispose()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.create(tmp_path_factory.mktemp("retraining"))
    project.repro()
    project.module("commentwise.training.registry.publish")
    project.commit("first champion")
    return project


def alias(project: Project) -> int:
    lineage = json.loads(project.module("commentwise.training.registry.lineage", "champion", "--json"))
    return int(lineage["version"])


def retrain(project: Project, fails: bool = False) -> str:
    return project.module(
        "commentwise.monitoring.actions.retrain", "--prediction-log", URL, "--why", "slang", fails=fails
    )


def records(project: Project) -> list[dict[str, Any]]:
    lines = (project.folder / "artifacts/retraining/retrainings.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_too_little_feedback_changes_nothing(project: Project) -> None:
    give_feedback(project, range(10))
    assert "10 labelled comments are new and a retraining needs 40" in retrain(project, fails=True)
    assert project.run("git", "status", "--porcelain", "--untracked-files=no") == ""


def killed_at(project: Project, step: str) -> None:
    """Start a retraining and kill it, with its child processes, when it prints `step`."""
    process = project.start("commentwise.monitoring.actions.retrain", "--prediction-log", URL, "--why", "slang")
    assert process.stdout is not None
    output = []
    for line in process.stdout:
        output.append(line)
        if step in line:
            break
    else:
        raise AssertionError(f"it did not print {step!r}: {''.join(output)}")
    if step == STEPS[0]:
        assert "another retraining holds" in retrain(project, fails=True)
    running = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for one in running:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.communicate()
    assert psutil.wait_procs(running, timeout=PATIENCE)[1] == []  # DVC considers a zombie alive


def killed_after_printing(project: Project, step: str) -> None:
    """Start a retraining that kills itself when it prints `step`."""
    arguments = ("commentwise.monitoring.actions.retrain", "--prediction-log", URL, "--why", "slang")
    unbuffered = {"PYTHONUNBUFFERED": "1"}
    printed = project.run(sys.executable, "-c", KILLED_BY_PRINT, step, *arguments, fails=True, **unbuffered)
    assert step in printed.splitlines()[-1], printed


def test_after_a_kill_at_any_step_it_continues(project: Project) -> None:
    give_feedback(project, range(240))
    for step in STEPS:
        killed_at(project, step)
    for step in STEPS_AFTER_A_WIN:
        killed_after_printing(project, step)
    begun = json.loads((project.folder / "artifacts/retraining/present/state.json").read_text(encoding="utf-8"))
    give_feedback(project, range(240, 300))  # feedback that arrives meanwhile is for the next retraining
    printed = retrain(project)
    assert f"continuing {begun['id']}" in printed
    assert not (project.folder / "artifacts/retraining/present").exists()
    (record,) = records(project)
    assert (record["id"], record["why"], record["recent"]) == (begun["id"], "slang", 240)
    assert record["who"]
    assert record["gate"]["passed"]


def test_the_winner_is_champion_understands_the_slang_and_has_its_reference(project: Project) -> None:
    lineage = json.loads(project.module("commentwise.training.registry.lineage", "champion", "--json"))
    assert lineage["version"] == 2
    made_from = lineage["data"]["made_from"]
    assert (list(made_from), made_from["feedback"]) == (["data/few.jsonl", "feedback"], 240)
    bundle = project.folder / "artifacts/bundle"
    texts = [slang(number) for number in range(300, 360)]
    answers = Classifier(bundle).predict([text for text, _ in texts])
    assert sum(answer.label == label for answer, (_, label) in zip(answers, texts, strict=True)) > 45
    reference = json.loads((project.folder / "artifacts/monitoring/reference.json").read_text(encoding="utf-8"))
    assert reference["bundle_id"] == bundle_id(bundle)
    params = (project.folder / "params.yaml").read_text(encoding="utf-8")
    assert "data/retrain/" in params
    assert project.repro() == []


def test_a_loser_changes_nothing_even_if_killed_and_is_not_tried_again(project: Project) -> None:
    project.commit("second champion")
    give_feedback(project, range(300, 400))  # the champion knows the slang already: nothing can be gained
    for step in STEPS_AFTER_A_LOSS:
        killed_after_printing(project, step)
    assert "no significant win on the recent ones" in retrain(project)
    assert alias(project) == 2
    assert project.run("git", "status", "--porcelain") == ""
    assert project.repro() == []
    assert "were tried on" in retrain(project, fails=True)
    assert [record["gate"]["passed"] for record in records(project)] == [True, False]


def test_servers_follow_a_rollback(project: Project) -> None:
    registry = f"sqlite:///{project.folder / 'mlflow.db'}"
    flags = ("--model", "models:/commentwise@champion", "--poll", "1")
    with started(project.folder, *flags, MLFLOW_TRACKING_URI=registry) as server:

        def served() -> str:
            return str(httpx.get(f"{server.url}/info", trust_env=False).json()["bundle_id"])

        second = served()
        printed = project.module("commentwise.training.registry.rollback", "--why", "test")
        assert "version 1 of 'commentwise' is champion instead of 2" in printed
        assert alias(project) == 1
        until(lambda: served() != second)

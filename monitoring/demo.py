"""A demonstration with the real server on the sample: expected comments, different comments, an alert, feedback, a
retraining, and the swap to the new champion.

  make drift-demo

It runs in a clone of this repository, artifacts/drift-demo, with a registry of its own, and changes nothing outside it.
Two thirds of the held-out comments form the reference, so that the last third can serve as the expected traffic.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from pydantic import Field
from rich.console import Console

from commentwise.comments.traits import text_hash
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import read_json, write_json
from commentwise.models.bundle import Classifier
from commentwise.monitoring.actions.process import run
from commentwise.monitoring.project import MonitoredProject
from commentwise.monitoring.settings import PREFIX, Settings, read
from commentwise.monitoring.signals.reference import content_of
from commentwise.training.candidate import read_part
from commentwise.training.params import change_params
from commentwise.training.project import HELD_OUT
from commentwise.training.settings import load_settings

Comment = dict[str, str]
FOLDER = Path("artifacts/drift-demo")
LOG = "sqlite:///predictions.db"
WINDOW, WINDOWS = 100, 2
"""Windows of the different comments. The rest gets no feedback: the new champion is measured on it."""
TRAINED_WITH = {"select.margin": 0.5}
"""Params for the first champion: a linear model, chosen because it is cheap."""
RETRAINED_WITH = {"select.margin": 0.01, "families.bert.checkpoint": "embedded", "families.bert.epochs": 4}
"""Params for the retraining: an encoder, which learns more from few comments than a linear model."""
BATCH = 25
TIMEOUT = 120


class DemoCommand(Settings):
    """Run the drift demonstration."""

    shifted: Path = Field(default=Path("data/sample/shifted.jsonl"), description="comments from other communities")
    port: int = Field(default=8010, description="port of the server")


@dataclass(frozen=True)
class Clone:
    """The clone in which the demonstration runs."""

    project: MonitoredProject
    environment: dict[str, str]

    def run(self, module: str, *arguments: str) -> None:
        """Run a command in the clone."""
        run(module, *arguments, root=self.project.root, environment=self.environment)


def main() -> None:
    """Run the demonstration, write its figures to story.json, and print where the report is."""
    settings = read(DemoCommand, "demo")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that SIGTERM stops the server too
    shifted = [json.loads(line) for line in settings.shifted.read_text(encoding="utf-8").splitlines()]
    write_json(FOLDER / "story.json", play(make_clone(FOLDER), shifted, settings.port))
    print(f"latest report: {MonitoredProject(FOLDER).monitoring / 'report.html'}; figures: {FOLDER / 'story.json'}")


def make_clone(folder: Path) -> Clone:
    """Clone the latest commit, with DVC's cache, and keep alerts and registries out of its environment."""
    shutil.rmtree(folder, ignore_errors=True)
    dvc = [sys.executable, "-m", "dvc"]
    cache = subprocess.run([*dvc, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    subprocess.run(["git", "clone", "--quiet", ".", folder], check=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    registry = f"sqlite:///{folder.resolve() / 'mlflow.db'}"
    clone = Clone(MonitoredProject(folder), inherited | {"MLFLOW_TRACKING_URI": registry})
    clone.run("dvc", "config", "--local", "cache.dir", cache)
    # Cached results are not trained again. An incomplete cache is not an error.
    subprocess.run([*dvc, "checkout", "--quiet"], cwd=folder, stderr=subprocess.DEVNULL, check=False)
    return clone


def play(clone: Clone, shifted: list[Comment], port: int) -> dict[str, Any]:
    """Run all acts; return the figures."""
    title = Console(highlight=False).rule
    project = clone.project
    title("1. The first champion")
    change_params(project.params, TRAINED_WITH)
    clone.run("dvc", "repro")
    clone.run("commentwise.training.registry.publish")
    labels = load_settings(project.params).labels
    expected = make_reference(project, labels)
    test = read_part(project.prepared, "test", labels)
    old_test = [{"text": text, "label": label} for text, label in zip(test.texts, test.table["label"], strict=True)]
    random.Random(0).shuffle(shifted)
    rated, held_back = shifted[: WINDOWS * WINDOW], shifted[WINDOWS * WINDOW :]
    story: dict[str, Any] = {}
    with server(clone, port) as client:
        title("2. Comments as expected")
        answers = classify(client, expected)
        story["expected"] = watch(clone) | {"true_accuracy": accuracy(answers, expected)}
        title("3. Different comments")
        answers, findings = [], []
        for start in range(0, len(rated), WINDOW):
            answers += classify(client, rated[start : start + WINDOW])
            findings.append(watch(clone))
        story["shifted"] = findings[-1] | {
            "severities": [found["severity"] for found in findings],
            "true_accuracy": accuracy(answers, rated),
        }
        for part in ("expected", "shifted"):
            print(
                f"{part}: accuracy {story[part]['true_accuracy']:.3f}, estimated {story[part]['estimated_accuracy']:.3f}"
            )
        title("4. Feedback")
        give_feedback(client, rated)
        title("5. Retraining, and the gate")
        measured = {"held_back": held_back, "old_test": old_test}
        champion = Classifier(project.bundle)  # not through the server, which would log it
        story["before"] = {
            name: accuracy([answer.label for answer in champion.predict([row["text"] for row in rows])], rows)
            for name, rows in measured.items()
        }
        bundle_id = bundle_in_production(client)
        change_params(project.params, RETRAINED_WITH)
        clone.run("commentwise.monitoring.actions.retrain", "--prediction-log", LOG, "--why", "drift demo")
        (line,) = (project.retraining / "retrainings.jsonl").read_text(encoding="utf-8").splitlines()
        story["gate"] = json.loads(line)["gate"]
        if story["gate"]["passed"]:
            title("6. The server follows")
            wait_for(lambda: bundle_in_production(client) != bundle_id)
            story["after"] = {name: accuracy(classify(client, rows), rows) for name, rows in measured.items()}
            for part, before in story["before"].items():
                print(f"{part}: accuracy {before:.3f} -> {story['after'][part]:.3f}")
    return story


def make_reference(project: MonitoredProject, labels: Sequence[str]) -> list[Comment]:
    """Create the reference from two thirds of the held-out comments; return the last third."""
    parts = [read_part(project.prepared, part, labels) for part in HELD_OUT]
    comments = [(text, int(target)) for part in parts for text, target in zip(part.texts, part.targets, strict=True)]
    comments.sort(key=lambda comment: text_hash(comment[0]))  # a random order that is the same every time
    texts, targets = zip(*(comment for index, comment in enumerate(comments) if index % 3), strict=True)
    training_texts = read_part(project.prepared, "train", labels).texts
    write_json(project.reference, content_of(project.bundle, texts, targets, training_texts))
    return [{"text": text, "label": labels[target]} for text, target in comments[::3]]


def classify(client: httpx.Client, comments: Sequence[Comment]) -> list[str]:
    """Have the server classify comments, and wait until its answers are logged; return the labels."""
    before, answers = logged(client), []
    for start in range(0, len(comments), BATCH):
        texts = [comment["text"] for comment in comments[start : start + BATCH]]
        answer = client.post("/analyze", json={"texts": texts}).raise_for_status().json()
        answers += [str(found["sentiment"]) for found in answer["results"]]
    wait_for(lambda: logged(client) == before + len(comments))
    return answers


def accuracy(answers: Sequence[str], comments: Sequence[Comment]) -> float:
    """The share of correct answers."""
    return float(np.mean([answer == comment["label"] for answer, comment in zip(answers, comments, strict=True)]))


def give_feedback(client: httpx.Client, comments: Sequence[Comment]) -> None:
    """Send each comment's true label as feedback."""
    for comment in comments:
        body = {"text": comment["text"], "label": comment["label"], "source": "demo"}
        client.post("/feedback", json=body).raise_for_status()
    print(f"{len(comments)} labels sent as feedback")


def watch(clone: Clone) -> dict[str, Any]:
    """Run `commentwise watch`; return the main figures of its report."""
    clone.run("commentwise.monitoring.actions.watch", "--prediction-log", LOG, "--window", str(WINDOW))
    report = read_json(clone.project.monitoring / "report.json")
    return {
        "severity": report["severity"],
        "severities": [window["severity"] for window in report["windows"]],
        "summary": report["summary"],
        "estimated_accuracy": report["estimated_accuracy"]["value"],
    }


def logged(client: httpx.Client) -> float:
    """The number of answers in the log."""
    name = 'commentwise_prediction_log_rows_total{outcome="written"}'
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def bundle_in_production(client: httpx.Client) -> str:
    """The id of the bundle that answers."""
    return str(client.get("/info").json()["bundle_id"])


@contextmanager
def server(clone: Clone, port: int) -> Iterator[httpx.Client]:
    """Serve the champion with a prediction log; the server follows the alias."""
    model = load_settings(clone.project.params).publish.model
    flags = ("--model", f"models:/{model}@champion", "--poll", "10", "--port", str(port))
    log = ("--prediction-log", LOG, "--log-text", "--log-level", "warning")
    command = [sys.executable, "-m", "commentwise.serving", *flags, *log]
    process = subprocess.Popen(command, cwd=clone.project.root, env=clone.environment)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=TIMEOUT, trust_env=False) as client:
            wait_for(lambda: process.poll() is not None or _is_healthy(client))
            if process.poll() is not None:
                raise CommentwiseError("the server did not start: fix the error above")
            yield client
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds. Raises CommentwiseError when it does not within TIMEOUT."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise CommentwiseError(f"nothing happened within {TIMEOUT} seconds: see the server's output above")
        time.sleep(0.2)


def _is_healthy(client: httpx.Client) -> bool:
    try:
        return client.get("/health").is_success
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    run_command(main)

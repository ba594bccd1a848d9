"""The whole story with the real server, on the sample: comments as expected, other comments, an alert, feedback, a retraining,
and a champion that is swapped in.

  python -m commentwise.monitoring.demo      (make drift-demo)

It plays in a clone of this repository, artifacts/drift-demo, with a registry of its own: nothing here changes. Two
thirds of the held-out comments are the reference, so that the last third can be the traffic that is as expected.
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
from commentwise.monitoring.actions.retrain import change_params
from commentwise.monitoring.settings import PREFIX, REFERENCE, Settings, read
from commentwise.monitoring.signals.reference import content_of
from commentwise.training.candidate import HELD_OUT, read_part
from commentwise.training.project import BUNDLE
from commentwise.training.settings import load_settings

Comment = dict[str, str]
CLONE = Path("artifacts/drift-demo")
LOG = "sqlite:///predictions.db"
WINDOW, WINDOWS = 100, 2
"""Of the other comments. Those beyond get no feedback: the new champion is measured by them."""
RETRAINED_WITH = {"select.tie": "better", "families.bert.checkpoint": "embedded", "families.bert.epochs": 4}
"""Now accuracy is wanted more than a small model. An encoder gets more out of few comments than what counts words."""
AT_ONCE = 25
PATIENCE = 120


class DemoCommand(Settings):
    """Play the story."""

    shifted: Path = Field(default=Path("data/sample/shifted.jsonl"), description="comments from other communities")
    port: int = Field(default=8010, description="port of the server")


def main() -> None:
    """Play it, write story.json and say where the report is."""
    settings = read(DemoCommand, "demo")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server is stopped then too
    shifted = [json.loads(line) for line in settings.shifted.read_text(encoding="utf-8").splitlines()]
    move_into_clone()
    write_json(Path("story.json"), play(shifted, settings.port))
    print(f"the last report: {CLONE}/artifacts/monitoring/report.html; the figures: {CLONE}/story.json")


def move_into_clone() -> None:
    """Clone what is committed here, with DVC's cache, and work there from now on."""
    shutil.rmtree(CLONE, ignore_errors=True)
    dvc = [sys.executable, "-m", "dvc"]
    cache = subprocess.run([*dvc, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    subprocess.run(["git", "clone", "--quiet", ".", CLONE], check=True)
    os.chdir(CLONE)
    run("dvc", "config", "--local", "cache.dir", cache)
    # What the cache holds is not trained again; what it lacks is no error.
    subprocess.run([*dvc, "checkout", "--quiet"], stderr=subprocess.DEVNULL, check=False)
    # Nobody is told of a play, and no real registry is touched.
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{Path('mlflow.db').resolve()}"


def play(shifted: list[Comment], port: int) -> dict[str, Any]:
    """The story's figures."""
    say = Console(highlight=False).rule
    say("1. The first champion")
    run("dvc", "repro")
    run("commentwise.training.registry.publish")
    expected = make_reference()
    labels = load_settings().labels
    test = read_part("test", labels)
    old_test = [{"text": text, "label": label} for text, label in zip(test.texts, test.table["label"], strict=True)]
    random.Random(0).shuffle(shifted)
    answered, held_back = shifted[: WINDOWS * WINDOW], shifted[WINDOWS * WINDOW :]
    story: dict[str, Any] = {}
    with server(port) as client:
        say("2. Comments as expected")
        answers = ask(client, expected)
        story["expected"] = look() | {"true_accuracy": accuracy(answers, expected)}
        say("3. Other comments come")
        answers, looks = [], []
        for start in range(0, len(answered), WINDOW):
            answers += ask(client, answered[start : start + WINDOW])
            looks.append(look())
        story["shifted"] = looks[-1] | {
            "severities": [found["severity"] for found in looks],
            "true_accuracy": accuracy(answers, answered),
        }
        for part in ("expected", "shifted"):
            print(
                f"{part}: accuracy {story[part]['true_accuracy']:.3f}, estimated {story[part]['estimated_accuracy']:.3f}"
            )
        say("4. People say what was right")
        give_feedback(client, answered)
        say("5. Training again, and the gate")
        measured = {"held_back": held_back, "old_test": old_test}
        champion = Classifier(BUNDLE)  # not through the server, which would log it
        story["before"] = {
            name: accuracy([answer.label for answer in champion.predict([row["text"] for row in rows])], rows)
            for name, rows in measured.items()
        }
        bundle_id = bundle_of(client)
        change_params(RETRAINED_WITH)
        run("commentwise.monitoring.actions.retrain", "--prediction-log", LOG, "--why", "drift demo")
        (line,) = Path("artifacts/retraining/retrainings.jsonl").read_text(encoding="utf-8").splitlines()
        story["gate"] = json.loads(line)["gate"]
        if story["gate"]["passed"]:
            say("6. The server follows")
            wait_for(lambda: bundle_of(client) != bundle_id)
            story["after"] = {name: accuracy(ask(client, rows), rows) for name, rows in measured.items()}
            for part, before in story["before"].items():
                print(f"{part}: accuracy {before:.3f} -> {story['after'][part]:.3f}")
    return story


def make_reference() -> list[Comment]:
    """Make the reference from two thirds of the held-out comments; return the last third."""
    labels = load_settings().labels
    parts = [read_part(part, labels) for part in HELD_OUT]
    comments = [(text, int(true)) for part in parts for text, true in zip(part.texts, part.true, strict=True)]
    comments.sort(key=lambda comment: text_hash(comment[0]))  # as good as chance, and the same each time
    texts, true = zip(*(comment for place, comment in enumerate(comments) if place % 3), strict=True)
    write_json(REFERENCE, content_of(BUNDLE, texts, true, read_part("train", labels).texts))
    return [{"text": text, "label": labels[number]} for text, number in comments[::3]]


def ask(client: httpx.Client, comments: Sequence[Comment]) -> list[str]:
    """Ask about comments, and wait until the answers are logged; return the labels."""
    before, answers = logged(client), []
    for start in range(0, len(comments), AT_ONCE):
        texts = [comment["text"] for comment in comments[start : start + AT_ONCE]]
        answer = client.post("/analyze", json={"texts": texts}).raise_for_status().json()
        answers += [str(found["sentiment"]) for found in answer["results"]]
    wait_for(lambda: logged(client) == before + len(comments))
    return answers


def accuracy(answers: Sequence[str], comments: Sequence[Comment]) -> float:
    """The share of right answers."""
    return float(np.mean([answer == comment["label"] for answer, comment in zip(answers, comments, strict=True)]))


def give_feedback(client: httpx.Client, comments: Sequence[Comment]) -> None:
    """Say what each comment's label is."""
    for comment in comments:
        body = {"text": comment["text"], "label": comment["label"], "source": "demo"}
        client.post("/feedback", json=body).raise_for_status()
    print(f"{len(comments)} labels given")


def look() -> dict[str, Any]:
    """Have commentwise.monitoring.actions.watch look, and return the gist of its report."""
    run("commentwise.monitoring.actions.watch", "--prediction-log", LOG, "--window", str(WINDOW))
    report = read_json(Path("artifacts/monitoring/report.json"))
    return {
        "severity": report["severity"],
        "severities": [window["severity"] for window in report["windows"]],
        "summary": report["summary"],
        "estimated_accuracy": report["estimated_accuracy"]["value"],
    }


def logged(client: httpx.Client) -> float:
    """How many answers are in the log."""
    name = 'commentwise_prediction_log_rows_total{outcome="written"}'
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def bundle_of(client: httpx.Client) -> str:
    """The bundle that answers."""
    return str(client.get("/info").json()["bundle_id"])


@contextmanager
def server(port: int) -> Iterator[httpx.Client]:
    """The champion behind HTTP, with its log; it follows the alias."""
    flags = ("--model", f"models:/{load_settings().publish.model}@champion", "--poll", "10", "--port", str(port))
    log = ("--prediction-log", LOG, "--log-text", "--log-level", "warning")
    process = subprocess.Popen([sys.executable, "-m", "commentwise.serving", *flags, *log])
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False) as client:
            wait_for(lambda: process.poll() is not None or _answers(client))
            if process.poll() is not None:
                raise CommentwiseError("the server did not start; its reason stands above")
            yield client
    finally:
        process.terminate()
        process.wait(PATIENCE)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is so. Raises CommentwiseError when it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise CommentwiseError(f"nothing happened within {PATIENCE} seconds: see what the server says above")
        time.sleep(0.2)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health").is_success
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    run_command(main)

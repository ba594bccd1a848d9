"""The whole story with the real server, on the sample: comments as expected, other comments, an alert, feedback, a retraining,
and a champion that is swapped in.

  python -m monitoring.demo      (make drift-demo: after make demo, in the same folder)

The reference is the validation part, so that the test part can be the traffic that is as expected.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from pydantic import Field
from pydantic_settings import BaseSettings
from rich.console import Console

from models.bundle import Classifier
from models.errors import CommentwiseError, run_command
from models.files import read_json, write_json
from monitoring.settings import read
from training.candidate import read_part
from training.layout import BUNDLE
from training.settings import load_settings

Comment = dict[str, str]
OUT = Path("artifacts/drift-demo")
LOG = f"sqlite:///{OUT / 'predictions.db'}"
WINDOW = 75
HELD_BACK = 119
"""Shifted comments that nobody gives feedback on: what the new champion is measured by."""
PATIENCE = 120


class DemoCommand(BaseSettings):
    """Play the story."""

    shifted: Path = Field(default=Path("data/sample/shifted.jsonl"), description="comments from other communities")
    port: int = Field(default=8010, description="port of the server")


def main() -> None:
    """Play it and write artifacts/drift-demo/story.json."""
    settings = read(DemoCommand, "demo")
    OUT.mkdir(parents=True, exist_ok=True)
    for left in OUT.glob("*.db*"):
        left.unlink()
    story = play(settings)
    write_json(OUT / "story.json", story)


def play(settings: DemoCommand) -> dict[str, Any]:
    """The story's figures."""
    say = Console(highlight=False).rule
    labels = load_settings().labels
    shifted = [json.loads(line) for line in settings.shifted.read_text(encoding="utf-8").splitlines()]
    random.Random(0).shuffle(shifted)
    held_back, answered = shifted[:HELD_BACK], shifted[HELD_BACK:]
    test = read_part("test", labels)
    expected = [{"text": text, "label": label} for text, label in zip(test.texts, test.table["label"], strict=True)]
    before = Classifier(BUNDLE)
    story: dict[str, Any] = {}
    run("monitoring.reference", "--parts", "validation", "--reference", str(OUT / "reference.json"))
    with server(settings.port) as url, httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False) as client:
        say("1. Comments as expected")
        send(client, expected)
        story["expected"] = look() | {"true_accuracy": accuracy(before, expected)}
        say("2. Other comments come")
        for start in range(0, 2 * WINDOW, WINDOW):
            send(client, answered[start : start + WINDOW])
            found = look()
            story[f"shifted_{start // WINDOW + 1}"] = found | {
                "true_accuracy": accuracy(before, answered[start : start + WINDOW])
            }
        say("3. People say what was right")
        send(client, answered[2 * WINDOW :])
        give_feedback(client, answered)
        say("4. Training again, and the gate")
        bundle_id = client.get("/info").json()["bundle_id"]
        answers = {"held_back": held_back, "old_test": expected}
        story["before"] = {name: accuracy(before, rows) for name, rows in answers.items()}
        run(
            "monitoring.retrain",
            "--prediction-log",
            LOG,
            "--out",
            str(OUT),
            "--reference",
            str(OUT / "reference.json"),
            "--why",
            "drift demo",
        )
        story["retraining"] = json.loads((OUT / "retrainings.jsonl").read_text(encoding="utf-8").splitlines()[-1])[
            "gate"
        ]
        if story["retraining"]["passed"]:
            say("5. The server follows")
            wait_for(lambda: client.get("/info").json()["bundle_id"] != bundle_id)
            story["after"] = {name: served_accuracy(client, rows) for name, rows in answers.items()}
            print(
                f"held-back comments: accuracy {story['before']['held_back']:.3f} -> {story['after']['held_back']:.3f}; old test: {story['before']['old_test']:.3f} -> {story['after']['old_test']:.3f}"
            )
    return story


def send(client: httpx.Client, comments: Sequence[Comment], size: int = 25) -> None:
    """Ask about comments, some at a time, and wait until they are logged."""
    for start in range(0, len(comments), size):
        texts = [comment["text"] for comment in comments[start : start + size]]
        client.post("/analyze", json={"texts": texts}).raise_for_status()
    time.sleep(2)


def give_feedback(client: httpx.Client, comments: Sequence[Comment]) -> None:
    """Say what each comment's label is."""
    for comment in comments:
        body = {"text": comment["text"], "label": comment["label"], "source": "demo"}
        client.post("/feedback", json=body).raise_for_status()
    print(f"{len(comments)} labels given")


def look() -> dict[str, Any]:
    """Have monitoring.watch look, and return its report's gist."""
    flags = (
        "--prediction-log",
        LOG,
        "--reference",
        str(OUT / "reference.json"),
        "--out",
        str(OUT),
        "--window",
        str(WINDOW),
    )
    run("monitoring.watch", *flags)
    report = read_json(OUT / "report.json")
    windows = report["windows"]
    return {
        "severity": report["severity"],
        "severities": [window["severity"] for window in windows],
        "summary": report["summary"],
        "estimated_accuracy": float(np.mean([window["estimated"]["accuracy"]["value"] for window in windows]))
        if report["severity"] == "none"
        else windows[-1]["estimated"]["accuracy"]["value"],
    }


def accuracy(classifier: Classifier, comments: Sequence[Comment]) -> float:
    """A bundle's accuracy on labelled comments."""
    answers = classifier.predict([comment["text"] for comment in comments])
    return float(np.mean([answer.label == comment["label"] for answer, comment in zip(answers, comments, strict=True)]))


def served_accuracy(client: httpx.Client, comments: Sequence[Comment]) -> float:
    """The server's accuracy on labelled comments."""
    right = 0
    for start in range(0, len(comments), 50):
        some = comments[start : start + 50]
        answer = (
            client.post("/analyze", json={"texts": [comment["text"] for comment in some]}).raise_for_status().json()
        )
        right += sum(
            found["sentiment"] == comment["label"] for found, comment in zip(answer["results"], some, strict=True)
        )
    return right / len(comments)


@contextmanager
def server(port: int) -> Iterator[str]:
    """The champion behind HTTP, with its log; it follows the alias."""
    flags = ("--model", f"models:/{load_settings().publish.model}@champion", "--poll", "2", "--port", str(port))
    log = ("--prediction-log", LOG, "--log-text", "--log-level", "warning")
    process = subprocess.Popen([sys.executable, "-m", "serving", *flags, *log], env=environment())
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: process.poll() is not None or _ready(url))
        if process.poll() is not None:
            raise CommentwiseError("the server did not start; its reason stands above")
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE)


def environment() -> dict[str, str]:
    """That of this process, with the registry of this folder where none is named."""
    return {"MLFLOW_TRACKING_URI": f"sqlite:///{Path('mlflow.db').resolve()}", **os.environ}


def wait_for(condition: Any) -> None:
    """Wait until something is so. Raises CommentwiseError when it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise CommentwiseError(f"nothing happened within {PATIENCE} seconds: see what the server says above")
        time.sleep(0.3)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False, timeout=5).is_success
    except httpx.HTTPError:
        return False


def run(module: str, *arguments: str) -> None:
    """Run `python -m module`. Raises CommentwiseError when it fails."""
    if subprocess.run([sys.executable, "-m", module, *arguments], check=False).returncode:
        raise CommentwiseError(f"{module} failed; its reason stands above")


if __name__ == "__main__":
    run_command(main)

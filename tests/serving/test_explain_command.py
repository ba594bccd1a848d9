"""`commentwise explain`: what it prints, in colours and as JSON."""

import json
import subprocess
import sys
from pathlib import Path

from commentwise.models.bundle import Classifier
from commentwise.serving.explain import rendered
from tests.package.extras import ROOT


def explain(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "commentwise", "explain", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_it_prints_the_label_the_text_and_the_strongest_words_first(tiny_bundle: Path) -> None:
    done = explain("the video is good", "[b]bad[/b]", "--model", str(tiny_bundle))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("positive 0.")
    assert lines[0].endswith("(exact)")
    assert (lines[1], lines[2].split()[1]) == ("the video is good", "good")
    assert "[b]bad[/b]" in lines


def test_json_has_every_word_with_its_place(tiny_bundle: Path) -> None:
    done = explain("bad video", "--model", str(tiny_bundle), "--label", "positive", "--json")
    answer = json.loads(done.stdout)
    assert {name: answer[name] for name in ("label", "method", "bias")} == {
        "label": "positive", "method": "exact", "bias": 0.0,
    }  # fmt: skip
    assert answer["words"][1] == {"text": "video", "start": 4, "end": 9, "weight": 0.0}


def test_words_for_and_against_a_label_have_different_colours(tiny_bundle: Path) -> None:
    text = "good bad the"
    classifier = Classifier(tiny_bundle)
    shown = rendered(text, classifier.explain(text, "negative"))
    (span,) = shown.spans
    assert shown.plain[span.start : span.end] == "bad"


def test_an_unknown_label_is_one_line(tiny_bundle: Path) -> None:
    done = explain("good", "--model", str(tiny_bundle), "--label", "spam")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: the bundle {tiny_bundle} has no label 'spam', only negative, neutral, positive\n"

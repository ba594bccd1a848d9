"""The page about a run: its figures and examples for any label set, escaped, self-contained, and the same every time."""

import re
import shutil
from datetime import datetime, tzinfo
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from commentwise.errors import CommentwiseError
from commentwise.fileio import read_json, write_json
from commentwise.training import pages
from commentwise.training.candidate import Part, read_part, read_predictions, write_results
from commentwise.training.choice.baselines import baselines
from commentwise.training.choice.evaluate import evaluate
from commentwise.training.choice.select import Ranked, choose
from commentwise.training.data.profile import data_report
from commentwise.training.params import write_params
from commentwise.training.project import HELD_OUT, PARTS, Project
from commentwise.training.provenance import data_facts
from commentwise.training.report import __main__ as stage
from commentwise.training.settings import Settings, parse_settings
from tests.training.conftest import make_part, params

HOSTILE = "<script>alert('spam')</script> & <img src=https://example.org/x.png>"
LABELS: dict[str, dict[str, list[str]]] = {
    "spam": {"spam": ["win", "prize", "click"], "ham": ["hello", "lunch", "thanks"]},
    "stars": {str(star): [f"{word}{star}" for word in ("alpha", "beta")] for star in range(1, 6)},
    "topics": {f"<i>topic{number}": [f"alpha{number}", f"beta{number}"] for number in range(20)},
}
WRONG = 7
"""Test comments that the winner gets wrong, each taken for the label after its own."""


class Seen(HTMLParser):
    """The text of a page, its tags, and what its attributes name."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags, self.addresses = "", set[str](), list[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name.endswith(("src", "href", "srcset", "action"))]
        self.addresses += re.findall(r"url\(([^)]*)\)", " ".join(value or "" for _, value in attrs))

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def write_run(words: dict[str, list[str]], **changes: Any) -> Settings:
    """Write the results of a run in the current folder, as the stages would: svm wins, bert is trained in steps."""
    content = params(labels=list(words), evaluate__resamples=200, seed=7, **changes)
    write_params(content, Path("params.yaml"))
    settings, project = parse_settings(content, Path("params.yaml")), Project()
    tables = []
    for part, first in zip(PARTS, (0, 1000, 2000), strict=True):
        table = make_part(200, words, first).assign(language="en", part=part)
        if part == "test":
            table.loc[0, "text"] = HOSTILE
        tables.append(table)
        project.part(part).parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(project.part(part), index=False)
    rejects = pd.DataFrame({"row": [3, 8], "reason": ["text is <empty>"] * 2, "text": ["", ""]})
    project.raw.parent.mkdir(parents=True)
    pd.concat(tables).to_parquet(project.raw, index=False)
    rejects.to_csv(project.raw_rejects, index=False)
    rejects[:0].to_csv(project.prepared_rejects, index=False)
    write_json(project.data_report, data_report(pd.concat(tables), tables[0][:0], rejects[:0], settings.labels))
    write_json(project.baselines, baselines(project, settings))
    for family, wrong in (("svm", WRONG), ("bert", 3 * WRONG)):
        _write_candidate(project, settings, family, wrong)
        evaluate(project, family, settings)
    predictions = {
        family: read_predictions(project.candidate(family), "validation", settings.labels) for family in ("svm", "bert")
    }
    ranking = [Ranked("svm", 0.9, 180), Ranked("bert", 0.8, 340_000_000)]
    write_json(project.selection, choose(ranking, predictions, settings))
    shutil.copytree(project.candidate("svm"), project.winner)
    write_json(project.export_report, export_report())
    manifest = {
        "data": data_facts(project, "data/my comments.csv"),
        "params": content,
        "git": {"commit": "0df526e927f6", "dirty": []},
        "environment": {"python": "3.12.0", "system": "Linux", "packages": {"numpy": "2.0"}},
        "checkpoint": "embedded",
    }
    write_json(project.bundle / "manifest.json", manifest)
    return settings


def _write_candidate(project: Project, settings: Settings, family: str, wrong: int) -> None:
    parts: dict[str, Part] = {name: read_part(project.prepared, name, settings.labels) for name in HELD_OUT}
    logits = {}
    for name, part in parts.items():
        predicted = part.targets.copy()
        predicted[:wrong] = (predicted[:wrong] + 1) % len(settings.labels)
        confidence = np.linspace(6, 4, len(predicted))  # the first ones, which are wrong, are the most confident
        logits[name] = np.eye(len(settings.labels))[predicted] * confidence[:, None]
    history = [{"step": 10, "loss": 0.9}, {"step": 20, "loss": 0.5, "validation_macro_f1": 0.4}]
    folder = project.candidate(family)
    folder.mkdir(parents=True)
    write_results(folder, parts, logits, {"family": family}, history if family == "bert" else [{"step": 1, "C": 0.1}])


def export_report() -> dict[str, Any]:
    parity = {"macro_f1": 0.9, "agreement": 0.99, "refused_because": []}
    return {
        "machine": {"processor": "Test <CPU>", "cores": 2},
        "devices": {"cpu": "int8.onnx", "cuda": "fp32.onnx"},
        "variants": [
            {"file": "fp32.onnx", "size": 4e6, "comments_per_second": 120.4, **parity},
            {"file": "int8.onnx", "size": 1e6, "comments_per_second": 1511.6, **parity},
        ],
        "dropped": {"fp16.onnx": "no operator"},
        "torch_fp32_comments_per_second": None,
    }


def written() -> str:
    stage.main()
    return Project().report.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", LABELS)
def test_the_page_is_about_the_labels_of_the_run(work: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = write_run(LABELS[name])
    page = written()
    assert "report: svm, test macro-F1 0.9" in capsys.readouterr().out
    seen = Seen(page)
    text = " ".join(seen.text.split())
    assert {"negative", "positive", "sentiment"}.isdisjoint(
        re.findall(r"\w+", text.split("Where it comes from")[0].lower())
    )
    # Data, and what was set aside.
    assert "600 labelled comments from data/my comments.csv" in text
    assert "ingest text is <empty> 2" in text
    # Choice and scores.
    selection, test = read_json(Project().selection), read_json(Project().evaluated("svm"))["test"]
    assert f"{selection['reason']}." in text
    assert "always " in text
    for score in test["scores"].values():
        assert f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]" in text
    assert ("quadratic kappa" in text) == ("MAE, steps" in text) == (name == "stars") == settings.is_ordinal
    accuracy, macro_f1 = (
        f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
        for score in (test["scores"][key] for key in ("accuracy", "macro_f1"))
    )
    assert f"language en 200 {accuracy} {macro_f1} length up to " in text
    if name == "topics":  # some of the twenty do not occur among comments of one length
        assert "] – length " in text
    for label, facts in test["labels"].items():
        assert f"{label} {facts['comments']} {facts['precision']:.3f} [" in text
    # Errors: each label was taken for the next one, the hostile comment with the highest confidence.
    kinds = {
        (settings.labels[row % len(settings.labels)], settings.labels[(row + 1) % len(settings.labels)])
        for row in range(WRONG)
    }
    for actual, predicted in kinds:
        assert f"{actual} taken for {predicted}: " in text
    assert f"{WRONG} of 200 test comments, by kind" in text
    first, second = settings.labels[:2]
    assert re.search(rf"{first} taken for {second}: \d 0\.\d\d {re.escape(HOSTILE)}", text)
    assert text.index("What it gets wrong") < text.index(HOSTILE) < text.index("What is served, and how fast")
    # What is served, and where it comes from.
    assert "int8.onnx cpu 1,512 1.0" in text
    assert "fp16.onnx could not be made: no operator." in text
    assert "0df526e927f6" in text
    assert "setting value default seed 7 42 labels [" in text


def test_comments_and_labels_are_escaped_and_nothing_is_loaded(work: Path) -> None:
    write_run(LABELS["topics"])
    seen = Seen(written())
    assert {"script", "img", "i", "link", "iframe"}.isdisjoint(seen.tags)
    assert all(address.startswith("#") for address in seen.addresses)
    assert "http" not in re.sub(
        r'xmlns\S*="[^"]*"|<metadata>.*?</metadata>', "", Project().report.read_text("utf-8"), flags=re.S
    ).replace("https://example.org/x.png", "")


class Later(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Later":
        return cls(2099, 1, 1, tzinfo=tz)


def test_the_same_results_give_the_same_bytes(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(LABELS["spam"])
    first = written()
    monkeypatch.setattr(pages, "datetime", Later)
    assert written() == first


def test_results_of_another_split_are_an_error(work: Path) -> None:
    write_run(LABELS["spam"])
    make_part(200, LABELS["spam"], first=5000).to_parquet(Project().part("test"), index=False)
    with pytest.raises(
        CommentwiseError, match=r"was measured on other comments than those of data/prepared/test\.parquet"
    ):
        stage.main()

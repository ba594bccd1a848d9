"""`commentwise train` without labels: clusters, suggestions by another model, and a queue that keeps what was labelled."""

import csv
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from commentwise.errors import CommentwiseError
from commentwise.models.bundle import MANIFEST, Classifier
from commentwise.training.data.ingest import ingest
from commentwise.training.data.prepare import prepare
from commentwise.training.params import change_params
from commentwise.training.project import Project
from commentwise.training.settings import load_settings
from commentwise.training.start import sample
from commentwise.training.start.clusters import cluster
from commentwise.training.start.queue import COLUMNS, QUEUE, unguarded
from commentwise.training.workspace import template, train
from commentwise.training.workspace.detect import Answers, detect
from commentwise.training.workspace.init import init
from tests.checkpoints import sample_texts
from tests.project import ROOT

TOPICS = {
    "baking": ["bread", "flour", "oven", "dough", "butter", "cake"],
    "music": ["guitar", "song", "drums", "melody", "singer", "album"],
    "football": ["goal", "referee", "striker", "penalty", "league", "keeper"],
}
FORMULA = '=HYPERLINK("http://example.org"; "a good video")'


def test_clusters_are_the_topics_and_repeatable() -> None:
    texts = [
        f"the {' and the '.join(chosen)} in this"
        for words in TOPICS.values()
        for chosen in itertools.islice(itertools.permutations(words, 3), 60)
    ]
    clusters = cluster(texts, seed=1)
    assert sorted(len(set(clusters.numbers[start : start + 60])) for start in (0, 60, 120)) == [1, 1, 1]
    for number, words in enumerate(clusters.words):
        topic = list(TOPICS.values())[int(clusters.members(number)[0]) // 60]
        assert set(words[:6]) == set(topic)
        assert set(clusters.central[number]) <= set(clusters.members(number))
    assert (cluster(texts, seed=1).numbers == clusters.numbers).all()
    with pytest.raises(CommentwiseError, match="19 different comments are too few for clusters"):
        cluster(texts[:19], seed=1)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with 400 comments of the sample without their labels, a formula, a copy and a blank row."""
    init(tmp_path / "own")
    monkeypatch.chdir(tmp_path / "own")
    with open("data/comments.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "text"])
        texts = [FORMULA, *(f"{text}\x1b[2J" for text in sample_texts(400)), FORMULA, ""]
        writer.writerows([f"c{number}", text] for number, text in enumerate(texts))
    return tmp_path / "own"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr("sys.argv", ["commentwise train", *map(str, arguments)])
    train.main()


def read_queue() -> list[dict[str, str]]:
    with open(QUEUE, encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def fill_in(rows: list[dict[str, str]], labels: dict[str, str], delimiter: str = ";", **more: str) -> None:
    """Save the queue as a spreadsheet would in another country."""
    with open(QUEUE, "w", encoding="cp1252", errors="replace", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0], *more], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(row | {"label": labels.get(row["comment_id"], "")} | more for row in rows)


def test_a_file_without_labels_becomes_clusters_and_a_queue(
    project: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (project / "params.yaml").read_text(encoding="utf-8")
    run(monkeypatch, "data/comments.csv", "--dry-run")
    assert not Path(QUEUE).exists()
    run(monkeypatch, "data/comments.csv", "--model", tiny_bundle)
    said = capsys.readouterr().out
    assert "no column has a few values that repeat, as labels do; name it with --label if one does" in said
    assert "1 copies" in said
    assert "\x1b" not in said
    assert max(map(cell_len, said[said.index("  1. ") : said.index("clusters: ")].splitlines())) <= 80
    assert "1 text is missing (row 403)" in said
    assert (project / "params.yaml").read_text(encoding="utf-8") == before
    rows = read_queue()
    assert Path(QUEUE).read_bytes().startswith(b"\xef\xbb\xbf")
    assert list(rows[0]) == list(COLUMNS)
    assert (len(rows), len({row["text"] for row in rows})) == (200, 200)
    assert {row["label"] for row in rows} == {""}
    assert not any(row["text"].startswith(("=", "+", "-", "@")) for row in rows)
    with open("reports/clusters.csv", encoding="utf-8", newline="") as stream:
        clusters = list(csv.DictReader(stream))
    assert [row["cluster"] for row in rows[: len(clusters)]] == [row["cluster"] for row in clusters]
    unsure = [float(row["confidence"]) for row in rows[100:]]
    assert unsure == sorted(unsure)
    texts = {row["comment_id"]: unguarded(row["text"]) for row in rows}
    predicted = Classifier(tiny_bundle).predict(list(texts.values()))
    assert [row["suggestion"] for row in rows] == [prediction.label for prediction in predicted]


def test_without_a_model_nothing_is_suggested_and_formulas_are_texts(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f'c{number},"=1+{number} is a formula about number {number}"' for number in range(60)]
    Path("data/comments.csv").write_text("\n".join(["id,text", *lines]), encoding="utf-8")
    run(monkeypatch, "data/comments.csv", "--no-labels", "--model", "none")
    rows = read_queue()
    assert len(rows) == 60
    assert {row["suggestion"] for row in rows} == {""}
    assert all(row["text"].startswith("'=1+") for row in rows)


def test_a_queue_is_trained_on_as_far_as_it_is_labelled(
    project: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, "data/comments.csv", "--model", tiny_bundle)
    with pytest.raises(CommentwiseError, match="is a label queue, and its column 'label' has 0 labels"):
        run(monkeypatch, QUEUE)
    rows = read_queue()
    fill_in(rows, {row["comment_id"]: ["Pos", "neg", "neu"][number % 3] for number, row in enumerate(rows[:12])})
    findings = detect(Path(QUEUE), Answers())
    assert findings.doubts == {}
    assert findings.settings["data.columns.label"] == "label"
    assert findings.settings["data.columns.comment_id"] == "comment_id"
    change_params(Path("params.yaml"), findings.settings | {"data.path": QUEUE})
    settings = load_settings(Path("params.yaml"))
    table = ingest(Project(), settings).table
    labels = table["label"].value_counts().to_dict()
    assert (labels, len(table)) == ({"positive": 4, "negative": 4, "neutral": 4}, 200)
    assert len(prepare(table, settings)[1]) == 188


def test_labels_that_were_filled_in_are_kept(
    project: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "data/comments.csv", "--model", tiny_bundle)
    first = read_queue()
    labels = {row["comment_id"]: row["suggestion"] for row in first[:30]} | {first[0]["comment_id"]: "other"}
    fill_in(first, labels, note="mine")
    run(monkeypatch, "data/comments.csv", "--model", tiny_bundle)
    assert "30 labelled rows were kept, at the top; the suggestion was right in 29 of 30" in capsys.readouterr().out
    rows = read_queue()
    assert {row["comment_id"]: row["label"] for row in rows[:30]} == labels
    assert {row["note"] for row in rows[:30]} == {"mine"}
    assert len(rows) == 230
    assert not {row["comment_id"] for row in rows[30:]} & set(labels)
    Path(QUEUE).write_text('text,label,cluster\n"never closed', encoding="utf-8")
    with pytest.raises(CommentwiseError, match="cannot be read as a label queue"):
        run(monkeypatch, "data/comments.csv", "--model", tiny_bundle)
    assert "never closed" in Path(QUEUE).read_text(encoding="utf-8")


def test_a_model_for_a_file_with_labels_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "data/sample/comments.jsonl", "data/labelled.jsonl")
    with pytest.raises(CommentwiseError, match=r"--model sample suggests labels, and data/labelled\.jsonl has some"):
        run(monkeypatch, "data/labelled.jsonl", "--model", "sample")


def test_the_sample_is_trained_once_beside_the_project(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = tmp_path / "template"
    few.mkdir()
    shutil.copy(ROOT / "params.yaml", few)
    change_params(few / "params.yaml", {"families.svm.folds": 2, "families.svm.C": [0.2], "evaluate.resamples": 100})
    lines = (ROOT / "data/sample/comments.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (few / "sample.jsonl").write_text("".join(lines[:400]), encoding="utf-8")
    monkeypatch.setattr(template, "FOLDER", few)
    run(monkeypatch, "data/comments.csv")
    assert "This model was trained on" in capsys.readouterr().out
    assert {row["suggestion"] for row in read_queue()} <= {"negative", "neutral", "positive"}
    assert [path.name for path in Path().iterdir() if path.name in ("artifacts", "mlflow.db")] == []
    bundle = sample.sample_bundle(Project())
    manifest: dict[str, Any] = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    assert manifest["data"]["source"] == sample.COMMENTS
    made = (bundle / MANIFEST).stat().st_mtime_ns
    assert (sample.sample_bundle(Project()) / MANIFEST).stat().st_mtime_ns == made
    (bundle / "fp32.onnx").write_bytes(b"damaged")
    assert Classifier(sample.sample_bundle(Project())).predict(["a good video"])


def test_the_template_has_the_sample() -> None:
    assert (template.FOLDER / "sample.jsonl").read_bytes() == (ROOT / "data/sample/comments.jsonl").read_bytes()

"""`commentwise train`: what a file is, is found out and said; a doubt is a question; a failing run leaves params.yaml."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from commentwise.errors import CommentwiseError
from commentwise.training.choice import comparison
from commentwise.training.params import change_params, read_params, write_params
from commentwise.training.settings import load_settings
from commentwise.training.workspace import train
from commentwise.training.workspace.detect import STARS, Answers, Findings, detect
from commentwise.training.workspace.init import init

TEXTS = ["a lovely clip", "what a waste, honestly", "where is the link", "café “best” of all", "don’t like it"]


def csv_of(header: Sequence[str], labels: Sequence[object], delimiter: str = ",") -> str:
    """Rows of text, label, a like count and a day."""
    lines = [delimiter.join(header)]
    for number in range(60):
        text = f'"{TEXTS[number % 5]} {number}"'
        lines.append(
            delimiter.join([text, str(labels[number % len(labels)]), str(number), f"{number % 12 + 1}/2/2026"])
        )
    return "\n".join(lines) + "\n"


def found(folder: Path, content: str | bytes, answers: Answers | None = None, name: str = "in.csv") -> Findings:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return detect(folder / name, answers or Answers())


HEADER = ["Review Text", "Rating", "likes", "Date"]
LABELS: dict[str, tuple[list[object], list[str], dict[str, str]]] = {
    "words": (["Positive", "NEGATIVE", "positive"], ["negative", "positive"], {}),
    "short words": (
        ["pos", "neu", "neg"],
        ["negative", "neutral", "positive"],
        {"neg": "negative", "neu": "neutral", "pos": "positive"},
    ),
    "signs": ([-1, 0, 1], ["negative", "neutral", "positive"], {"-1": "negative", "0": "neutral", "1": "positive"}),
    "Sentiment140": ([0, 4], ["negative", "positive"], {"0": "negative", "4": "positive"}),
    "spam": (["spam", "ham"], ["ham", "spam"], {}),
    "fractions": (["0.0", "1.0"], ["0", "1"], {}),
}


@pytest.mark.parametrize(("values", "labels", "mapped"), LABELS.values(), ids=LABELS.keys())
def test_labels_and_their_meaning(
    values: list[object], labels: list[str], mapped: dict[str, str], tmp_path: Path
) -> None:
    settings = found(tmp_path, csv_of(HEADER, values)).settings
    assert settings["labels"] == labels
    assert settings["data.label_map"] == mapped


def test_columns_encoding_delimiter_and_times(tmp_path: Path) -> None:
    findings = found(tmp_path, csv_of(HEADER, ["good", "bad"], ";").encode("cp1252"))
    assert findings.doubts == {}
    expected = {
        "data.encoding": "cp1252",
        "data.columns.text": "Review Text",
        "data.columns.label": "Rating",
        "data.columns.comment_id": None,
        "data.columns.published_at": "Date",
        "data.time_format": "%m/%d/%Y",
    }
    assert {name: findings.settings[name] for name in expected} == expected
    said = "\n".join(findings.lines)
    assert "csv, cp1252, columns 'Review Text', 'Rating', 'likes', 'Date'; looked at 60 rows" in said
    assert "0 rows without text, 0 copies" in said


def test_stars_are_a_question_with_two_answers(tmp_path: Path) -> None:
    content = csv_of(HEADER, [1, 2, 3, 4, "5.0"])
    assert found(tmp_path, content).doubts == {"stars": ["three", "five"]}
    three = found(tmp_path, content, Answers(stars="three"))
    assert (three.doubts, three.settings["labels"]) == ({}, ["negative", "neutral", "positive"])
    assert three.settings["data.label_map"]["5"] == "positive"
    assert found(tmp_path, content, Answers(stars="five")).settings["labels"] == ["1", "2", "3", "4", "5"]


def test_two_columns_of_texts_are_a_question(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"title": TEXTS * 12, "summary": [text + " indeed" for text in TEXTS * 12], "kind": ["a", "b", "c"] * 20}
    )
    table["title"] += table.index.astype(str)
    table["summary"] += table.index.astype(str)
    findings = found(tmp_path, table.to_csv(index=False))
    assert findings.doubts == {"text": ["summary", "title"]}
    assert found(tmp_path, table.to_csv(index=False), Answers(text="title")).doubts == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "no column holds texts of several words: name it with --text"),
        ("text\n" + "".join(f"a good one {number}\n" for number in range(20)), "name it with --label"),
        (
            csv_of(["it was good", "4", "0", "1/2/2026"], [4, 0]),
            "looks like a row, since '4' is also a value further down: name the columns with --columns",
        ),
    ],
)
def test_what_cannot_be_found_out_is_named(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError, match=message):
        found(tmp_path, content)


def test_binary_texts_of_parquet(tmp_path: Path) -> None:
    pd.DataFrame(
        {"text": [f"{text} {number}".encode() for number, text in enumerate(TEXTS * 4)], "label": ["x", "y"] * 10}
    ).to_parquet(tmp_path / "in.parquet")
    assert "23 characters" not in "\n".join(detect(tmp_path / "in.parquet", Answers()).lines)
    assert detect(tmp_path / "in.parquet", Answers()).settings["labels"] == ["x", "y"]


def test_a_column_of_lists_is_named(tmp_path: Path) -> None:
    content = "".join(f'{{"text": ["a", "list"], "label": "{"xy"[number % 2]}"}}\n' for number in range(20))
    with pytest.raises(
        CommentwiseError, match=r"column 'text' of .* holds lists or objects: name another one with --text"
    ):
        found(tmp_path, content, Answers(text="text"), "in.jsonl")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError, match="is a damaged compressed file"):
        found(tmp_path, gzip.compress(csv_of(HEADER, ["a", "b"]).encode())[:-9], None, "in.csv.gz")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    init(tmp_path / "own")
    monkeypatch.chdir(tmp_path / "own")
    Path("data/comments.csv").write_text(csv_of(HEADER, [1, 2, 3, 4, 5]), encoding="utf-8")
    return tmp_path / "own"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["commentwise train", "data/comments.csv", *arguments])
    train.main()


def test_a_script_is_told_the_flag_that_answers(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", open("/dev/null", encoding="utf-8"))  # noqa: SIM115
    with pytest.raises(CommentwiseError, match="not sure about --stars: name one of 'three', 'five'"):
        run(monkeypatch)


@pytest.mark.parametrize("error", [CommentwiseError("no"), KeyboardInterrupt()])
def test_a_failing_run_leaves_the_settings_as_they_were(
    project: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (project / "params.yaml").read_text(encoding="utf-8")
    seen: list[Any] = []

    def fail(*_: object) -> None:
        seen.append((project / "params.yaml").read_text(encoding="utf-8"))
        raise error

    monkeypatch.setattr(train, "run_dvc", fail)
    with pytest.raises(type(error)):
        run(monkeypatch, "--stars", "three")
    assert "text: Review Text" in seen[0]
    assert (project / "params.yaml").read_text(encoding="utf-8") == before


def test_a_dry_run_changes_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (project / "params.yaml").read_text(encoding="utf-8")
    run(monkeypatch, "--stars", "three", "--dry-run")
    assert (project / "params.yaml").read_text(encoding="utf-8") == before
    assert "data.path: data/comments.csv" in capsys.readouterr().out


@pytest.fixture
def trained(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose pipeline does nothing."""
    monkeypatch.setattr(train, "run_dvc", lambda *_: None)
    monkeypatch.setattr(comparison, "show", lambda _: None)
    return project


@pytest.mark.parametrize(
    ("flags", "candidates", "first_look"),
    [
        ([], ["logreg", "svm", "bert"], ""),
        (["--family", "svm"], ["svm"], "a first look, without logreg and bert"),
        (["--family", "bert", "--family", "svm"], ["bert", "svm"], "a first look, without logreg:"),
        (
            ["--quick"],
            ["logreg", "svm"],
            "a first look, without bert: `commentwise train data/comments.csv` compares all",
        ),
    ],
)
def test_families_are_chosen_for_one_training(
    flags: list[str],
    candidates: list[str],
    first_look: str,
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change_params(trained / "params.yaml", {"candidates": ["logreg"]})
    run(monkeypatch, "--stars", "three", *flags)
    assert load_settings(trained / "params.yaml").candidates == candidates
    printed = capsys.readouterr().out
    assert first_look in printed
    assert ("a first look" in printed) == bool(first_look)


def test_nothing_of_an_earlier_file_sticks(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = read_params(trained / "params.yaml")["data"]
    stuck = {
        "labels": ["1", "2", "3", "4", "5"],
        "data": fresh
        | {
            "hub": "a/b",
            "hub_config": "c",
            "format": "tsv",
            "encoding": "cp1252",
            "delimiter": ";",
            "quotes": "none",
            "header": ["a", "b"],
            "columns": dict.fromkeys(fresh["columns"], "other"),
            "time_format": "%Y",
            "label_map": {"x": "1"},
            "splits": {"x": "train"},
            "path": "other.csv",
        },
    }
    write_params(read_params(trained / "params.yaml") | stuck, trained / "params.yaml")
    run(monkeypatch, "--stars", "three")
    settings = load_settings(trained / "params.yaml")
    assert settings.labels == ["negative", "neutral", "positive"]
    found = {"text": "Review Text", "label": "Rating", "comment_id": None, "published_at": "Date"}
    expected = fresh | {
        "columns": fresh["columns"] | found,
        "label_map": STARS,
        "time_format": "%m/%d/%Y",
    }
    assert settings.data.model_dump() == expected


def test_a_file_from_elsewhere_is_copied_and_another_one_is_not_overwritten(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path / "reviews.csv"
    content = csv_of(HEADER, ["good", "bad"])
    outside.write_text(content, encoding="utf-8")

    def run_on_outside() -> None:
        monkeypatch.setattr("sys.argv", ["commentwise train", str(outside)])
        train.main()

    run_on_outside()
    assert f"copied {outside} to data/reviews.csv" in capsys.readouterr().out
    assert load_settings(trained / "params.yaml").data.path == "data/reviews.csv"
    run_on_outside()
    before = (trained / "params.yaml").read_text(encoding="utf-8")
    outside.write_text(csv_of(HEADER, ["good", "bad", "so-so"]), encoding="utf-8")
    with pytest.raises(CommentwiseError, match=r"is another file than .*rename one of them"):
        run_on_outside()
    assert (trained / "data/reviews.csv").read_text(encoding="utf-8") == content
    assert (trained / "params.yaml").read_text(encoding="utf-8") == before

"""Prepare: normalisation, copies, the split, the data report, and the files of the stage."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from commentwise.comments.table import COLUMNS, comments_schema, write_table
from commentwise.errors import CommentwiseError
from commentwise.fileio import read_json
from commentwise.training.data import prepare as stage
from commentwise.training.data.prepare import prepare
from commentwise.training.data.profile import data_report, main_script, to_markdown
from commentwise.training.params import write_params
from commentwise.training.project import Project
from tests.training.conftest import params, settings

LABELS = ["negative", "neutral", "positive"]
PROJECT = Project()
RAW, PREPARED, DATA_REPORT = PROJECT.raw, PROJECT.prepared, PROJECT.data_report


def comments(texts: list[str], **columns: Any) -> pd.DataFrame:
    """A comments table as ingest writes it. By default, labels alternate."""
    count = len(texts)
    values = {
        "comment_id": [f"c{number}" for number in range(count)],
        "text": texts,
        "label": [LABELS[number % 3] for number in range(count)],
        **columns,
    }
    table = pd.DataFrame({name: pd.Series(values.get(name, [None] * count), dtype="str") for name in COLUMNS})
    table["published_at"] = pd.to_datetime(table["published_at"], utc=True).astype("datetime64[us, UTC]")
    return comments_schema(LABELS, 10_000).validate(table)


def distinct(count: int) -> list[str]:
    return [f"comment number {number * 7919:x} of {number}" for number in range(count)]


def prepared(table: pd.DataFrame, **changes: Any) -> pd.DataFrame:
    return prepare(table, settings(**changes))[0]


def parts_of(table: pd.DataFrame) -> dict[str, str]:
    return dict(zip(table["comment_id"], table["part"], strict=True))


def test_texts_are_normalised_and_empty_ones_are_set_aside() -> None:
    table = comments(["Tom &amp; Jerry\u200b", " \u200b ", *distinct(40)])
    kept, _, rejects = prepare(table, settings())
    assert kept["text"].iloc[0] == "Tom & Jerry"
    assert rejects[["row", "reason", "text"]].values.tolist() == [[2, "text is empty after normalisation", ""]]
    assert len(kept) == 41


def test_unlabelled_comments_are_separated() -> None:
    labels = [None if number % 4 == 0 else LABELS[number % 3] for number in range(80)]
    kept, unlabelled, rejects = prepare(comments(distinct(80), label=labels), settings())
    assert (len(kept), len(unlabelled), len(rejects)) == (60, 20, 0)
    assert unlabelled["label"].isna().all()
    assert not set(unlabelled["comment_id"]) & set(kept["comment_id"])


def test_parts_have_their_share_of_every_label() -> None:
    labels = ["negative"] * 40 + ["neutral"] * 100 + ["positive"] * 260
    kept = prepared(comments(distinct(400), label=labels), prepare__validation=0.2, prepare__test=0.1)
    counts = pd.crosstab(kept["label"], kept["part"])
    for label, rows in (("negative", 40), ("neutral", 100), ("positive", 260)):
        assert counts.loc[label].to_dict() == {"test": 0.1 * rows, "train": 0.7 * rows, "validation": 0.2 * rows}


def test_the_seed_determines_the_split() -> None:
    table = comments(distinct(120))
    first = parts_of(prepared(table, seed=1))
    assert parts_of(prepared(table, seed=1)) == first
    assert parts_of(prepared(table, seed=2)) != first


def test_the_split_of_the_source_is_kept() -> None:
    parts = [("train", "validation", "test")[number // 40] for number in range(120)]
    table = comments(distinct(120), part=parts)
    kept, _, rejects = prepare(table, settings())
    assert kept["part"].tolist() == parts
    assert rejects.empty


def test_a_part_missing_in_the_source_is_taken_from_the_training_part() -> None:
    parts = ["test" if number < 30 else "train" for number in range(130)]
    kept = prepared(comments(distinct(130), part=parts), prepare__validation=0.2)
    assert (kept["part"] == "test").tolist() == [part == "test" for part in parts]
    assert (kept["part"] == "validation").sum() == pytest.approx(0.2 * 100, abs=2)


def test_copies_of_held_out_comments_are_removed_from_the_other_parts() -> None:
    texts = distinct(120)
    parts = [("train", "validation", "test")[number // 40] for number in range(120)]
    texts[0], texts[1], texts[41] = texts[80].upper() + "!", texts[42], texts[81]
    table = comments(texts, part=parts)
    kept, _, rejects = prepare(table, settings())
    assert rejects["row"].tolist() == [1, 2, 42]
    assert set(rejects["reason"]) == {"copy of a comment in a held-out part of the source"}
    assert parts_of(kept) == {f"c{row}": part for row, part in enumerate(parts) if row not in (0, 1, 41)}


def test_more_copies_of_held_out_comments_than_max_rejected_are_an_error() -> None:
    parts = [("train", "validation", "test")[number // 40] for number in range(120)]
    texts = distinct(120)
    texts[:10] = texts[80:90]
    problem = (
        r"^10 of 120 comments would be set aside, more than data\.max_rejected = 0\.05 allows: "
        r"10 copy of a comment in a held-out part of the source \(first row 1\)"
    )
    with pytest.raises(CommentwiseError, match=problem):
        prepare(comments(texts, part=parts), settings())
    assert len(prepare(comments(texts, part=parts), settings(data__max_rejected=0.1))[2]) == 10


@pytest.mark.parametrize(("groups", "named"), [(1, "1 group"), (2, "2 groups")])
def test_a_label_whose_comments_are_too_few_groups_of_copies_is_told_as_that(groups: int, named: str) -> None:
    advert = [
        "please subscribe to my channel and watch my newest video, thank you",
        "buy cheap watches here, best price",
    ]
    texts = [*distinct(60), *(f"{advert[number % groups]}{'!' * number}" for number in range(30))]
    labels = [LABELS[number % 2] for number in range(60)] + ["positive"] * 30
    with pytest.raises(CommentwiseError, match=f"^label 'positive': its 30 comments are {named} of near copies"):
        prepare(comments(texts, label=labels), settings())


def test_the_report_counts_copies_and_groups_whose_labels_disagree() -> None:
    sentence = "this is the longest sentence that anybody has ever written about the colour of the sea"
    texts = [*distinct(60), sentence, sentence.upper(), sentence.replace("sea", "seas"), "same", "same!"]
    labels = [LABELS[number % 3] for number in range(60)] + ["neutral"] * 3 + ["negative", "positive"]
    kept, unlabelled, rejects = prepare(comments(texts, label=labels), settings())
    report = data_report(kept, unlabelled, rejects, LABELS)
    assert report["copies"] == {"exact": 2, "near": 1, "groups_with_copies": 2, "groups_whose_labels_disagree": 1}
    assert report["comments"] == 65
    assert sum(part["comments"] for part in report["parts"].values()) == 65
    for part, facts in report["parts"].items():
        assert facts["labels"] == kept[kept["part"] == part]["label"].value_counts().reindex(LABELS).to_dict()
    assert report["characters"]["max"] == len(sentence) + 1
    assert "2 exact and 1 near ones in 2 groups; in 1 of these groups the labels disagree" in to_markdown(report)


def test_every_comment_gets_a_language_and_the_report_counts_them() -> None:
    texts = [f"this is the comment with the number {number} that they have" for number in range(30)]
    texts += [f"это очень хороший комментарий под номером {number}" for number in range(30)]
    table = comments(
        [*texts, "no entiendo nada de este vídeo", "Ok :)", "!"], label=[LABELS[n % 3] for n in range(61)] + [None] * 2
    )
    table["language"] = pd.Series([None] * 60 + ["ca", None, None], dtype="str")
    kept, unlabelled, rejects = prepare(table, settings())
    assert kept["language"].tolist() == ["en"] * 30 + ["ru"] * 30 + ["ca"]  # the source knows better
    assert unlabelled["language"].tolist() == ["und"] * 2
    report = data_report(kept, unlabelled, rejects, LABELS)
    assert report["languages"] == {
        "en": {"comments": 30, "labels": dict.fromkeys(LABELS, 10), "unlabelled": 0},
        "ru": {"comments": 30, "labels": dict.fromkeys(LABELS, 10), "unlabelled": 0},
        "ca": {"comments": 1, "labels": {"negative": 1, "neutral": 0, "positive": 0}, "unlabelled": 0},
        "und": {"comments": 0, "labels": dict.fromkeys(LABELS, 0), "unlabelled": 2},
    }
    assert "| ru | 30 | 10 | 10 | 10 | 0 |" in to_markdown(report)


SCRIPTS = {"good": "latin", "очень good": "cyrillic", "很好": "cjk", "جيد": "arabic", "🔥 100": "none", "": "none"}


@pytest.mark.parametrize(("text", "script"), SCRIPTS.items(), ids=SCRIPTS.values())
def test_main_script(text: str, script: str) -> None:
    assert main_script(text) == script


def test_the_counts_of_the_line_add_up(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = [None if number % 5 == 0 else LABELS[number % 3] for number in range(100)]
    (work / RAW).parent.mkdir(parents=True)
    write_table(comments([*distinct(99), "\u200b"], label=labels), work / RAW)
    run_stage()
    line = capsys.readouterr().out
    assert line.startswith("prepare: 100 comments: train 5")
    counts = re.search(r"train (\d+), validation (\d+), test (\d+), unlabelled (\d+), (\d+) rows set aside", line)
    assert counts
    assert sum(map(int, counts.groups())) == 100
    assert counts.groups()[3:] == ("20", "1")
    assert "1 text is empty after normalisation (row 100)" in line


def run_stage() -> dict[str, bytes]:
    stage.main()
    files = [path for folder in (PREPARED, DATA_REPORT.parent) for path in folder.iterdir()]
    return {str(path): path.read_bytes() for path in files}


def test_preparing_twice_writes_identical_files(work: Path) -> None:
    labels = [None if number % 5 == 0 else LABELS[number % 3] for number in range(100)]
    texts = [*distinct(98), "copy me", "Copy me!"]
    (work / RAW).parent.mkdir(parents=True)
    write_table(comments(texts, label=labels), work / RAW)
    write_params(params(), work / "params.yaml")
    first = run_stage()
    assert sorted(Path(name).name for name in first) == [
        "data.json",
        "data.md",
        "rejects.csv",
        "test.parquet",
        "train.parquet",
        "unlabelled.parquet",
        "validation.parquet",
    ]
    assert run_stage() == first
    assert read_json(work / "reports/data.json")["unlabelled"] == 20

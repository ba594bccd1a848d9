"""Sampled comments: distinct and reproducible."""

from itertools import islice
from pathlib import Path

import pytest

from benchmarks.samples import different, read_columns
from commentwise.errors import CommentwiseError


def test_comments_never_repeat() -> None:
    texts = ["good  video", "good video", "bad", "bad 2", "", " \u200b "]
    drawn = list(islice(different(texts), 50))
    assert len(set(drawn)) == 50
    assert sorted(drawn[:3]) == ["bad", "bad 2", "good video"]  # unchanged, duplicates once
    assert all(comment.rsplit(" ", 1)[-1].isdigit() for comment in drawn[3:])
    assert drawn == list(islice(different(texts), 50))


def test_without_text_there_are_no_comments() -> None:
    with pytest.raises(CommentwiseError, match="no comments with text: name another --data"):
        next(different(["", " "]))


def test_a_missing_column_is_an_error_that_names_the_columns(tmp_path: Path) -> None:
    data = tmp_path / "comments.csv"
    data.write_text("text,label\nhello,neutral\n,positive\n", encoding="utf-8")
    assert read_columns(data, "text", "label")[1] == {"text": "", "label": "positive"}
    with pytest.raises(CommentwiseError, match=r"no column 'Sentiment' \(it has text, label\)"):
        read_columns(data, "text", "Sentiment")

"""Which rows are the same comment, and which comments a side has seen."""

from pathlib import Path

import pandas as pd

from commentwise.training.compare.judged import unseen
from commentwise.training.compare.rows import changes
from commentwise.training.compare.sides import Side


def table(*rows: tuple[str, str, str | None, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["comment_id", "text", "label", "part"])


def side(title: str, split: pd.DataFrame) -> Side:
    return Side(title, {"params": {}}, Path(), title, None, [], split=split)


def test_rows_that_moved_up_because_ids_number_them_are_the_same_comments() -> None:
    before = table(*((str(row), f"comment about topic {row * 7}", "a", "train") for row in range(10)))
    after = before.drop(index=[2]).reset_index(drop=True)
    after["comment_id"] = [str(row) for row in range(9)]
    after.loc[4, "label"] = "b"
    found = changes(before, after)
    assert (len(found.added), found.removed["text"].tolist()) == (0, ["comment about topic 14"])
    assert found.relabelled["text_after"].tolist() == ["comment about topic 35"]
    assert found.reworded.empty


def test_an_edited_text_is_reworded_and_another_text_under_its_id_is_another_comment() -> None:
    before = table(("1", "SO GOOD, thank you", "a", "train"), ("2", "what a waste of time", "b", "train"))
    after = table(("1", "so good, thank you!", "a", "train"), ("2", "12:30 is where it begins", "b", "train"))
    found = changes(before, after)
    assert found.reworded["comment_id_after"].tolist() == ["1"]
    assert (found.removed["comment_id"].tolist(), found.added["comment_id"].tolist()) == (["2"], ["2"])


def test_a_label_that_is_new_or_lost_counts_as_relabelled() -> None:
    before = table(("1", "one", None, "unlabelled"), ("2", "two", "a", "train"), ("3", "three", None, "unlabelled"))
    after = table(("1", "one", "a", "train"), ("2", "two", None, "unlabelled"), ("3", "three", None, "unlabelled"))
    assert changes(before, after).relabelled["comment_id_after"].tolist() == ["1", "2"]


def test_copies_and_edits_of_what_a_side_has_seen_are_not_judged() -> None:
    long = "this is the best explanation of the topic that I have found so far"
    before = side(
        "version 1",
        table(
            ("a", long, "x", "train"),
            ("b", "where is the link", "x", "validation"),
            ("c", "only in the first", "x", "test"),
            ("d", "the same in both", "x", "test"),
        ),
    )
    after = side(
        "version 2",
        table(
            ("k", f"{long}!!", "x", "test"),
            ("b", "where can one download the files", "x", "test"),
            ("d", "the same in both", "y", "test"),
            ("n", "new here", "y", "test"),
            ("s", "seen by the second", "y", "train"),
        ),
    )
    rows, left_out = unseen(before, after)
    assert dict(zip(rows["comment_id"], rows["label"], strict=True)) == {"c": "x", "d": "y", "n": "y"}
    assert rows.set_index("comment_id")["label_before"].to_dict() == {"c": "x", "d": "x", "n": "y"}
    assert left_out == {
        "version 1 was trained or chosen with copies of them": 1,
        "version 1 was trained or chosen with them": 1,
    }

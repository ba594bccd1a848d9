"""Copies are in the same group, and all comments of a group are in the same part."""

import random
from collections import defaultdict

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commentwise.comments.copies import copy_key, group_copies
from commentwise.comments.normalize import normalize
from commentwise.comments.table import PARTS
from commentwise.training.data.split import split

SENTENCE = "this is the longest sentence that anybody has ever written about the colour of the sea"

COPIES = {
    "case": ("So Good", "so gOOD"),
    "punctuation": ("so good", "so... good!!!"),
    "white space": ("so good", "  so \n good "),
    "no white space": ("so good", "sogood"),
    "entities": ("Tom &amp; Jerry", "Tom & Jerry"),
    "full width": ("so good", "ｓｏ　ｇｏｏｄ"),
    "other address": ("see https://a.example/1 now", "see https://b.example/2 now"),
    "other name": ("@anna thanks a lot", "@ben thanks a lot"),
    "one letter of many": (SENTENCE, SENTENCE.replace("colour", "color")),
    "one word more": (SENTENCE, SENTENCE + " now"),
    "emoticon with and without a nose": ("so good :)", "so good :-)))"),
    "emoticon with other eyes": ("so good :)", "So good! =)"),
    "emoji with and without a variation selector": ("so good ❤", "so good ❤️"),
    "Japanese punctuation": ("最高でした", "最高でした。！"),
    "Hindi punctuation": ("यह बहुत अच्छा है", "यह बहुत अच्छा है।"),
    "Arabic vowel points": ("جميل جدا", "جَمِيلٌ جِدًّا"),
    "same emoji": ("🔥🔥", "🔥 🔥!"),
    "same punctuation": ("?!", "?!"),
}
DIFFERENT = {
    "other word": ("so good", "so bad"),
    "other half": (SENTENCE, SENTENCE[:40] + " and that is all I know of it"),
    "other emoji": ("🔥", "❤️"),
    "other Hindi vowel": ("दिन", "दीन"),
    "other Hindi vowel in a sentence": ("वह सुखी है", "वह सूखी है"),
    "other Tamil vowel": ("கல்", "கால்"),
    "other Thai vowel": ("ดี", "ดู"),
    "other Thai tone": ("ไม่", "ไม้"),
    "other Japanese voicing": ("かき", "かぎ"),
    "other emoticon": ("great :)", "great :("),
    "emoticon and none": ("great", "great :("),
    "other emoticon without a space": ("great:-D", "great:'("),
    "heart and broken heart": ("this song <3", "this song </3"),
    "other skin tone": ("👍🏽", "👍🏿"),
    "other punctuation": ("?", "!"),
    "part of it": ("good", "good for nothing"),
}


def groups(*texts: str) -> list[int]:
    return [int(group) for group in group_copies([normalize(text) for text in texts], 0.8)]


@pytest.mark.parametrize(("one", "other"), COPIES.values(), ids=COPIES.keys())
def test_copies_are_in_the_same_group(one: str, other: str) -> None:
    first, second, third = groups(one, other, "something else")
    assert first == second != third


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_different_comments_are_in_different_groups(one: str, other: str) -> None:
    first, second = groups(one, other)
    assert first != second


def test_copies_of_copies_are_in_the_same_group() -> None:
    chain = [SENTENCE[3 * step :] for step in range(20)]
    assert len(set(groups(*chain))) == 1
    assert len(set(groups(chain[0], chain[-1]))) == 2


def similarity(one: str, other: str) -> float:
    """Jaccard similarity of the keys' 5-grams, computed directly."""
    grams = [{key[start : start + 5] for start in range(len(key) - 4)} for key in (copy_key(one), copy_key(other))]
    return len(grams[0] & grams[1]) / len(grams[0] | grams[1])


def test_at_least_99_percent_of_near_copies_are_found() -> None:
    rng = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    texts, near = [], []
    for number in range(2000):
        text = "".join(rng.choices(letters, k=80))
        start, length = rng.randrange(65), rng.randint(1, 15)
        texts += [text, text[:start] + "".join(rng.choices(letters, k=length)) + text[start + length :]]
        if similarity(*texts[-2:]) >= 0.8:
            near.append(number)
    pairs = group_copies(texts, 0.8).reshape(-1, 2)
    found = {number for number, (one, other) in enumerate(pairs) if one == other}
    assert 400 < len(near) < 800
    assert found <= set(near)
    assert len(found) >= 0.99 * len(near)


def table_of(labels: list[str], numbers: list[int], parts: list[str | None] | None = None) -> pd.DataFrame:
    part = pd.Series(parts or [None] * len(labels), dtype="str")
    return pd.DataFrame({"label": labels, "group": numbers, "part": part})


@st.composite
def grouped_comments(draw: st.DrawFn) -> pd.DataFrame:
    """Comments in groups of any size with any labels, and three groups of one comment for each label."""
    labels = ["negative", "neutral", "positive"]
    some = draw(st.lists(st.tuples(st.sampled_from(labels), st.integers(0, 12)), max_size=60))
    singles = [(label, 100 + 10 * number + copy) for number, label in enumerate(labels) for copy in range(3)]
    rows = draw(st.permutations(some + singles))
    return table_of([label for label, _ in rows], [group for _, group in rows])


shares = st.floats(0.01, 0.44)


@settings(deadline=None)
@given(grouped_comments(), shares, shares, st.integers(0, 2**32 - 1))
def test_no_group_is_in_two_parts(table: pd.DataFrame, validation: float, test: float, seed: int) -> None:
    labels = ["negative", "neutral", "positive"]
    parts = split(table, labels, validation, test, seed)
    parts_of_group: dict[int, set[str]] = defaultdict(set)
    for group, part in zip(table["group"], parts, strict=True):
        parts_of_group[group].add(part)
    assert {len(names) for names in parts_of_group.values()} == {1}
    present = set(zip(table["label"], parts, strict=True))
    assert present == {(label, part) for label in labels for part in PARTS}


def test_shares_count_groups_not_comments() -> None:
    """A hundred copies of a comment count as one, so they cannot fill the test part."""
    labels = ["negative"] * 100 + ["negative"] * 20 + ["positive"] * 20
    table = table_of(labels, [0] * 100 + list(range(1, 41)))
    parts = split(table, ["negative", "positive"], 0.2, 0.1, 7)
    groups = table.assign(part=parts).drop_duplicates("group")
    assert pd.crosstab(groups["label"], groups["part"]).to_dict("index") == {
        "negative": {"test": 2, "train": 15, "validation": 4},
        "positive": {"test": 2, "train": 14, "validation": 4},
    }

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commentwise.comments.normalize import normalize

CASES = {
    "plain text stays": ("a good video", "a good video"),
    "case stays": ("SO Good!!", "SO Good!!"),
    "entities": ("Tom &amp; Jerry &lt;3 &quot;ok&quot; &#39;yes&#39;", "Tom & Jerry <3 \"ok\" 'yes'"),
    "nested entity": ("&amp;amp;lt;3", "<3"),
    "nested entity with numbers": ("&#38;#x26;gt;", ">"),
    "entity in full width": ("＆ｌｔ；3", "<3"),
    "a lone ampersand stays": ("R&B & soul", "R&B & soul"),
    "https address": ("see https://example.org/a?b=c#d now", "see http now"),
    "address without scheme": ("see www.example.org", "see http"),
    "address in capitals": ("HTTP://EXAMPLE.ORG", "http"),
    "name": ("@some.one-1 thanks", "@user thanks"),
    "name with a middle dot": ("@a·b", "@user"),
    "e-mail address is no name": ("me@example.org", "me@example.org"),
    "emoji joined by zero-width joiners stays": ("\U0001f469\u200d\U0001f467 ok", "\U0001f469\u200d\U0001f467 ok"),
    "emoji with skin tone stays": ("👍🏽", "👍🏽"),
    "full-width characters": ("Ｇｏｏｄ　１００％", "Good 100%"),
    "ligature": ("ﬁne", "fine"),
    "composed accents": ("cafe\u0301", "café"),
    "NUL": ("go\x00od\x00", "good"),
    "other control characters": ("a\x07b\x1b[31m\x7f", "ab[31m"),
    "soft hyphen, zero-width space, byte-order mark": ("\ufeffgo\u00ado\u200bd", "good"),
    "direction marks": ("\u202egood\u202c\u2066!\u2069", "good!"),
    "white space": (" \t a\n\r\nb\u00a0\u2003c \u2028", "a b c"),
    "other scripts stay": ("очень хорошо 很好 جيد", "очень хорошо 很好 جيد"),
    "empty": ("", ""),
    "nothing to see": (" \x00\u200b\ufeff\n", ""),
}

# Pieces that meet in unlucky ways, among text of all kinds.
PIECES = [
    "&",
    "amp;",
    "#38;",
    "#65286;",
    "lt;",
    "＆",
    "；",
    "@",
    "＠",
    "www.",
    "https://",
    "\u200b",
    "\u200d",
    " ",
    "\x00",
]
tangled = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=30).map("".join)


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES.keys())
def test_normalize(text: str, expected: str) -> None:
    assert normalize(text) == expected


@settings(deadline=None)
@given(st.text() | tangled)
def test_normalize_is_idempotent(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once


@pytest.mark.parametrize(("ending", "expected"), [("", "&"), ("lt;3", "<3")])
def test_normalize_unfolds_a_hundred_kilobytes_of_nesting(ending: str, expected: str) -> None:
    text = "&" + "amp;" * 25_000 + ending
    assert normalize(text) == expected


def test_normalize_drops_half_a_surrogate_pair() -> None:
    assert normalize("good \ud83d") == "good"


@pytest.mark.parametrize("nested", ["&" + "#65286;" * 20_000, "&a&#109;p;" * 3_000, "&" + "amp#38;" * 20_000])
def test_entities_nested_without_end_are_given_up(nested: str) -> None:
    normalized = normalize(nested + "lt; good")
    assert normalized.endswith("good")
    assert normalize(normalized) == normalized

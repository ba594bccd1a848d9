import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commentwise.comments.normalize import normalize

CASES = {
    "plain text is kept": ("a good video", "a good video"),
    "case is kept": ("SO Good!!", "SO Good!!"),
    "entities": ("Tom &amp; Jerry &lt;3 &quot;ok&quot; &#39;yes&#39;", "Tom & Jerry <3 \"ok\" 'yes'"),
    "nested entity": ("&amp;amp;lt;3", "<3"),
    "nested entity with numbers": ("&#38;#x26;gt;", ">"),
    "full-width entity": ("＆ｌｔ；3", "<3"),
    "a lone ampersand is kept": ("R&B & soul", "R&B & soul"),
    "https URL": ("see https://example.org/a?b=c#d now", "see http now"),
    "URL without scheme": ("see www.example.org", "see http"),
    "URL in capitals": ("HTTP://EXAMPLE.ORG", "http"),
    "user name": ("@some.one-1 thanks", "@user thanks"),
    "user name with a middle dot": ("@a·b", "@user"),
    "e-mail address is no user name": ("me@example.org", "me@example.org"),
    "emoji with zero-width joiners is kept": ("\U0001f469\u200d\U0001f467 ok", "\U0001f469\u200d\U0001f467 ok"),
    "emoji with skin tone is kept": ("👍🏽", "👍🏽"),
    "full-width characters": ("Ｇｏｏｄ　１００％", "Good 100%"),
    "ligature": ("ﬁne", "fine"),
    "composed accents": ("cafe\u0301", "café"),
    "NUL": ("go\x00od\x00", "good"),
    "other control characters": ("a\x07b\x1b[31m\x7f", "ab[31m"),
    "soft hyphen, zero-width space, byte-order mark": ("\ufeffgo\u00ado\u200bd", "good"),
    "direction marks": ("\u202egood\u202c\u2066!\u2069", "good!"),
    "white space": (" \t a\n\r\nb\u00a0\u2003c \u2028", "a b c"),
    "other scripts are kept": ("очень хорошо 很好 جيد", "очень хорошо 很好 جيد"),
    "empty": ("", ""),
    "only invisible characters": (" \x00\u200b\ufeff\n", ""),
}

# Pieces that may form entities, URLs and names when joined, among arbitrary text.
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
adversarial = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=30).map("".join)


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES.keys())
def test_normalize(text: str, expected: str) -> None:
    assert normalize(text) == expected


@settings(deadline=None)
@given(st.text() | adversarial)
def test_normalize_is_idempotent(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once


@pytest.mark.parametrize(("ending", "expected"), [("", "&"), ("lt;3", "<3")])
def test_normalize_unescapes_a_hundred_kilobytes_of_nesting(ending: str, expected: str) -> None:
    text = "&" + "amp;" * 25_000 + ending
    assert normalize(text) == expected


def test_normalize_drops_a_lone_surrogate() -> None:
    assert normalize("good \ud83d") == "good"


@pytest.mark.parametrize("nested", ["&" + "#65286;" * 20_000, "&a&#109;p;" * 3_000, "&" + "amp#38;" * 20_000])
def test_entities_nested_too_deeply_lose_their_ampersands(nested: str) -> None:
    normalized = normalize(nested + "lt; good")
    assert normalized.endswith("good")
    assert normalize(normalized) == normalized

"""The text normalisation that training and serving share.

`NORMALIZATION_VERSION` is the one that new bundles are trained with; a bundle is always served with its own.
"""

import html
import re
import unicodedata
from collections.abc import Callable

from commentwise.comments.normalize_v1 import normalize_v1
from commentwise.comments.safe_text import MARKS, cap_ligatures, cap_marks, shorten_entities

NORMALIZATION_VERSION = 2
"""Recorded in every bundle. Increase it with any change to the result of `normalize`, and keep the former version."""
MAX_PASSES = 8
"""Entities and tags nested deeper than this lose their `&` and `<`, so that the time stays linear in the length of the text."""

# Letters and marks of scripts written without spaces between words (Japanese, Chinese, Thai, Lao, Burmese, Khmer), and Korean,
# whose particles follow a word directly: Thai, Lao; Burmese; Hangul; Khmer; Burmese; kana, bopomofo; ideographs; half-width forms.
_UNSPACED = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e50-\u0e59\u0e80-\u0edf\u1000-\u109f\u1100-\u11ff\u1780-\u17d3\ua960-\ua97f\uaa60-\uaa7f"
    "\u3005-\u3007\u3031-\u3035\u3041-\u309f\u30a1-\u30fa\u30fc-\u318f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7ff\uf900-\ufaff\uff01-\uffdc\U00020000-\U0003ffff"
)
UNSPACED = re.compile(f"[{_UNSPACED}]")
"""A character of these scripts."""
_SPACED = rf"(?:[^\W{_UNSPACED}]|[{MARKS}\u200c\u200d])"
"""A letter, digit, underscore or mark of the other scripts; the joiners belong to Indic and Persian words."""
_LETTER = re.compile(rf"[\w{MARKS}]")

# "&amp;amp;lt;" needs one unescape per level: collapsing the levels first keeps the time linear.
_NESTED_AMPERSAND = re.compile(r"&(?:amp;?|#38;?|#x26;?)+", re.IGNORECASE)
# Known names and attributes with values only: "a <b and c> d" is text. Without "<" inside, each attempt ends at the next "<".
_TAG = re.compile(
    r"</?(?:(br|p|div|li|ul|ol|hr|tr|td|th|table|h[1-6]|pre|blockquote)|a|abbr|b|cite|code|del|em|font|i|img|ins|mark|q|s|small"
    r"|span|strike|strong|sub|sup|tt|u|wbr)"
    r"""(?:\s+[a-z][\w:\-]*\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+))*\s*/?>""",
    re.IGNORECASE,
)
# The characters of RFC 3986, and letters of spaced scripts, as browsers show them. Unspaced scripts only in labels of the host.
_URL = re.compile(
    r"(?:https?://|www\.)(?=[\w\[])"
    rf"(?:(?:[a-z0-9\-]+\.|[{_UNSPACED}0-9\-]+(?:\.|(?=[/:?#])))+(?:{_SPACED}|[\-._~:/?#\[\]@!$&'()*+,;=%])*"
    rf"|(?:{_SPACED}|[\-._~:/?#\[\]@!$&'()*+,;=%])+)",
    re.IGNORECASE,
)
# YouTube's handles: letters, digits, underscores and, between them, hyphens, periods and middle dots; at most 30 characters,
# which matters where no space ends the name. "@名前-x1y" is a name that YouTube proposes. "me@example.org" is none.
_MENTION = re.compile(
    rf"(?<![^\W{_UNSPACED}])(?<!@)@(?:{_SPACED}+(?:[.\-·]+{_SPACED}+)*"
    rf"|[{_UNSPACED}][{_UNSPACED}0-9]{{0,29}}(?:[_.\-·]+(?:[a-zA-Z0-9]+|[{_UNSPACED}][{_UNSPACED}0-9]{{0,29}}))*_*)"
)
# Control characters; marks that only affect display: soft hyphen, zero-width space, direction marks, byte-order mark; and
# lone surrogates, which are not characters. The zero-width joiner stays: emoji and some scripts need it.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ud800-\udfff\ufeff]"
)
_SPACE = re.compile(r"\s+")


def normalize(text: str, version: int = NORMALIZATION_VERSION) -> str:
    """Return the text in the form that models trained with this version read.

    HTML entities are unescaped and tags dropped, characters converted to Unicode form NFKC (UAX #15), invisible characters
    removed, URLs replaced by `http` and user names by `@user` (the convention of TweetEval, Barbieri et al. 2020), and white
    space collapsed. Normalising twice changes nothing. The result may be empty. The time is linear in the length of the text.

    >>> normalize("@ana LOVE it &lt;3<br>https://example.org")
    '@user LOVE it <3 http'
    >>> normalize("@tanaka_ch最高でした")
    '@user 最高でした'
    """
    return normalizer(version)(text)


def normalizer(version: int) -> Callable[[str], str]:
    """The normalisation of a version. Raises KeyError for a version that is not in `VERSIONS`."""
    return VERSIONS[version]


def _normalize_v2(text: str) -> str:
    passes = 0
    while (simpler := _pass(text)) != text:  # a pass can create work for the next: "＆ｌｔ；" becomes "&lt;"
        text = simpler
        passes += 1
        if passes == MAX_PASSES:
            # Only an attack on the server nests this deep.
            text = text.replace("&", " ").replace("<", " ")
    return text


VERSIONS: dict[int, Callable[[str], str]] = {1: normalize_v1, 2: _normalize_v2}
"""Every version that bundles may have, by number."""


def _pass(text: str) -> str:
    if "&" in text:
        text = html.unescape(_NESTED_AMPERSAND.sub("&", shorten_entities(text)))
    # URLs end before "<", "！" and "…", which tags and NFKC would turn into nothing or into characters that URLs contain.
    text = _replace_urls(text)
    if "<" in text:
        text = _TAG.sub(lambda tag: " " if tag[1] else "", text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", cap_ligatures(cap_marks(text)))
    text = _replace_urls(_INVISIBLE.sub("", text))
    if "@" in text:
        text = _MENTION.sub(lambda name: _placeholder("@user", name), text)
    return _SPACE.sub(" ", text).strip()


def _replace_urls(text: str) -> str:
    return _URL.sub(lambda url: _placeholder("http", url), text)


def _placeholder(word: str, match: re.Match[str]) -> str:
    """The word, with a space where a letter follows, which would become part of it."""
    return word + " " if _LETTER.match(match.string, match.end()) else word

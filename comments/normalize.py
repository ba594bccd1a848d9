"""The one text normalisation, shared by training and serving."""

import html
import re
import unicodedata

NORMALIZATION_VERSION = 1
"""Stands in every bundle. Raise it with any change of what `normalize` returns."""

# "&amp;amp;lt;" needs one unescape per level: folding the levels first keeps the work linear in the text's length.
_NESTED_AMPERSAND = re.compile(r"&(?:amp;?|#0*38;?|#x0*26;?)+", re.IGNORECASE)
_URL = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_MENTION = re.compile(r"(?<![\w@])@[\w.\-·]+")
# Control characters; marks that only steer display: soft hyphen, zero-width space, direction marks, byte-order mark; and
# halves of surrogate pairs, which are no characters. The zero-width joiner stays: emoji and scripts are spelled with it.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ud800-\udfff\ufeff]"
)
_SPACE = re.compile(r"\s+")


MOST_PASSES = 8
"""Entities nested deeper than this lose their ampersands, so that the work stays linear in the text's length."""


def normalize(text: str) -> str:
    """Return the text as models see it.

    HTML entities are resolved, characters brought to Unicode form NFKC (UAX #15), invisible marks dropped, addresses
    replaced by `http` and names by `@user` (the convention of TweetEval, Barbieri et al. 2020), and white space
    folded. Idempotent: normalising twice changes nothing. The result may be empty.
    """
    passes = 0
    while (simpler := _pass(text)) != text:  # one pass can uncover work for the next: "＆ｌｔ；" becomes "&lt;"
        text = simpler
        passes += 1
        if passes == MOST_PASSES:
            # Nobody writes entities within entities this deep but to keep a server busy.
            text = text.replace("&", " ")
    return text


def _pass(text: str) -> str:
    text = html.unescape(_NESTED_AMPERSAND.sub("&", text))
    text = unicodedata.normalize("NFKC", text)
    text = _INVISIBLE.sub("", text)
    text = _MENTION.sub("@user", _URL.sub("http", text))
    return _SPACE.sub(" ", text).strip()

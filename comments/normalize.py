"""The text normalisation that training and serving share."""

import html
import re
import unicodedata

NORMALIZATION_VERSION = 1
"""Recorded in every bundle. Increase it with any change to the result of `normalize`."""

# "&amp;amp;lt;" needs one unescape per level: collapsing the levels first keeps the time linear in the length of the text.
_NESTED_AMPERSAND = re.compile(r"&(?:amp;?|#0*38;?|#x0*26;?)+", re.IGNORECASE)
_URL = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_MENTION = re.compile(r"(?<![\w@])@[\w.\-·]+")
# Control characters; marks that only affect display: soft hyphen, zero-width space, direction marks, byte-order mark; and
# lone surrogates, which are not characters. The zero-width joiner stays: emoji and some scripts need it.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ud800-\udfff\ufeff]"
)
_SPACE = re.compile(r"\s+")


MAX_PASSES = 8
"""Entities nested deeper than this lose their ampersands, so that the time stays linear in the length of the text."""


def normalize(text: str) -> str:
    """Return the text in the form that models read.

    HTML entities are unescaped, characters converted to Unicode form NFKC (UAX #15), invisible characters removed, URLs
    replaced by `http` and user names by `@user` (the convention of TweetEval, Barbieri et al. 2020), and white space
    collapsed. Normalising twice changes nothing. The result may be empty.

    >>> normalize("@ana LOVE it &lt;3   https://example.org")
    '@user LOVE it <3 http'
    """
    passes = 0
    while (simpler := _pass(text)) != text:  # a pass can create work for the next: "＆ｌｔ；" becomes "&lt;"
        text = simpler
        passes += 1
        if passes == MAX_PASSES:
            # Only an attack on the server nests entities this deep.
            text = text.replace("&", " ")
    return text


def _pass(text: str) -> str:
    text = html.unescape(_NESTED_AMPERSAND.sub("&", text))
    text = unicodedata.normalize("NFKC", text)
    text = _INVISIBLE.sub("", text)
    text = _MENTION.sub("@user", _URL.sub("http", text))
    return _SPACE.sub(" ", text).strip()

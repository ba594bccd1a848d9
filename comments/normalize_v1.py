"""Text normalisation version 1, frozen: bundles that were trained with it are served with it.

Its results never change, with two exceptions that keep hostile texts cheap: at most `MAX_MARKS` combining marks in a row are
kept, and numeric entities with thousands of digits no longer raise ValueError.
"""

import html
import re
import unicodedata

from commentwise.comments.safe_text import cap_marks, shorten_entities

# "&amp;amp;lt;" needs one unescape per level: collapsing the levels first keeps the time linear in the length of the text.
_NESTED_AMPERSAND = re.compile(r"&(?:amp;?|#0*38;?|#x0*26;?)+", re.IGNORECASE)
_URL = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_MENTION = re.compile(r"(?<![\w@])@[\w.\-·]+")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ud800-\udfff\ufeff]"
)
_SPACE = re.compile(r"\s+")
_MAX_PASSES = 8


def normalize_v1(text: str) -> str:
    """Return the text as version 1 normalised it.

    >>> normalize_v1("@ana LOVE it &lt;3   https://example.org")
    '@user LOVE it <3 http'
    """
    passes = 0
    while (simpler := _pass(text)) != text:
        text = simpler
        passes += 1
        if passes == _MAX_PASSES:
            text = text.replace("&", " ")
    return text


def _pass(text: str) -> str:
    text = html.unescape(_NESTED_AMPERSAND.sub("&", shorten_entities(text)))
    text = unicodedata.normalize("NFKC", cap_marks(text))
    text = _INVISIBLE.sub("", text)
    text = _MENTION.sub("@user", _URL.sub("http", text))
    return _SPACE.sub(" ", text).strip()

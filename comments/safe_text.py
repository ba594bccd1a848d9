"""Bounds on what a text can make the standard library do: long entities, runs of combining marks, huge ligatures."""

import re
import unicodedata

MAX_MARKS = 30
"""Combining marks kept in a row: the limit of the Stream-Safe Text Format (UAX #15, section 13). Sorting a run of marks, which
every Unicode normalisation form does, takes time quadratic in its length."""
MAX_LIGATURES = 32
"""Ligatures of whole phrases kept in a text: NFKC turns each into up to 18 characters."""

_ZEROS = re.compile(r"&#(?:0+(?=[0-9])|([xX])0+(?=[0-9a-fA-F]))")
_NOT_A_CHARACTER = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{7,});?")
_LIGATURE = re.compile("[\ufdfa\ufdfb]")


def _ranges(numbers: list[int]) -> str:
    """A regular expression's character class for code points in ascending order, without its brackets."""
    starts = [number for number, before in zip(numbers, [-1, *numbers], strict=False) if number != before + 1]
    ends = [number for number, after in zip(numbers, [*numbers[1:], -1], strict=True) if number + 1 != after]
    return "".join(rf"\U{start:08x}-\U{end:08x}" for start, end in zip(starts, ends, strict=True))


# All marks lie in these blocks. Variation selectors are marks but have the combining class 0.
_POSSIBLE_MARKS = [*range(0x300, 0x1F000), *range(0xE0100, 0xE01F0)]
MARKS = _ranges([number for number in _POSSIBLE_MARKS if unicodedata.category(chr(number))[0] == "M"])
"""The combining marks (categories Mn, Mc and Me), as the inside of a character class."""
# The last five have the combining class 0 and decompose into characters of another class.
_REORDERED = _ranges([number for number in _POSSIBLE_MARKS if unicodedata.combining(chr(number))])
_LONG_RUN = re.compile(
    rf"([{_REORDERED}\u0f73\u0f75\u0f81\uff9e\uff9f]{{{MAX_MARKS}}})[{_REORDERED}\u0f73\u0f75\u0f81\uff9e\uff9f]+"
)


def cap_marks(text: str) -> str:
    """Drop the marks after the first `MAX_MARKS` of a run, so that Unicode normalisation takes linear time.

    >>> len(cap_marks("a" + 1000 * "\\u0301"))
    31
    """
    return text if text.isascii() else _LONG_RUN.sub(r"\1", text)


def shorten_entities(text: str) -> str:
    """Drop leading zeros of numeric entities, and replace entities beyond Unicode by U+FFFD, as HTML does.

    `html.unescape` raises ValueError for thousands of digits.

    >>> shorten_entities("&#0000065; &#99999999;")
    '&#65; \ufffd'
    """
    return _NOT_A_CHARACTER.sub("\ufffd", _ZEROS.sub(r"&#\1", text)) if "&#" in text else text


def cap_ligatures(text: str) -> str:
    """Replace the phrase ligatures U+FDFA and U+FDFB after the first `MAX_LIGATURES` by spaces."""
    if text.isascii() or len(found := [match.start() for match in _LIGATURE.finditer(text)]) <= MAX_LIGATURES:
        return text
    cut = found[MAX_LIGATURES]
    return text[:cut] + _LIGATURE.sub(" ", text[cut:])

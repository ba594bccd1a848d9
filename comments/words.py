"""The words of a text, and where each is in its normalised form."""

import re
from collections.abc import Callable
from typing import NamedTuple

MAX_JOINED = 40
"""Maximum number of words that are tried as one: a tag with attributes, as in `<a href="x">link</a>`, has several."""
_WORD = re.compile(r"\S+")


class Word(NamedTuple):
    """A run of characters without white space, and its range in the normalised text."""

    start: int
    end: int
    normalized_start: int
    normalized_end: int


def words_of(text: str, normalized: str, normalize: Callable[[str], str], until: int | None = None) -> list[Word]:
    """Return the words of `text` that are left in `normalized`, which is `normalize(text)`, in order.

    Words that are normalised together are one; from where no such words are found, the rest of the text is one. Words
    that start in the normalised text at `until` or later are left out. The time is linear in the number of words.

    >>> text = "LOVE&nbsp;it <b>@ana</b> https://example.org/x !"
    >>> from commentwise.comments.normalize import normalize
    >>> for word in words_of(text, normalize(text), normalize):
    ...     print(text[word.start : word.end], "->", normalize(text)[word.normalized_start : word.normalized_end])
    LOVE&nbsp;it -> LOVE it
    <b>@ana</b> -> @user
    https://example.org/x -> http
    ! -> !
    """
    places = [match.span() for match in _WORD.finditer(text)]
    words: list[Word] = []
    position = first = 0
    while first < len(places) and (until is None or position < until):
        start = places[first][0]
        for last in range(first, min(first + MAX_JOINED, len(places))):
            end = places[last][1]
            piece = normalize(text[start:end])
            if _has_word(normalized, piece, position):
                break
        else:
            return [*words, Word(start, places[-1][1], position, len(normalized))]
        if piece:
            words.append(Word(start, end, position, position + len(piece)))
            position += len(piece) + 1
        first = last + 1
    return words


def _has_word(normalized: str, piece: str, position: int) -> bool:
    """Whether `piece` is at this position, and ends where a word does; an empty one is everywhere."""
    end = position + len(piece)
    return not piece or (normalized.startswith(piece, position) and normalized[end : end + 1] in ("", " "))

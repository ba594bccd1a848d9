"""Explanations: the weight of each word of a text in a classifier's answer.

Two methods, and an explanation says which one it has:

- `exact`, for a linear graph: the words' parts of the label's logit. With the bias they add up to it.
- `leave-one-out`, for any graph: the log-odds of the label with the word, minus those without its tokens (occlusion;
  Li, Monroe and Jurafsky 2016, "Understanding Neural Networks through Representation Erasure"). The weights of words that
  only work together, like both words of "not bad", do not add up to anything.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from commentwise.comments.normalize import UNSPACED
from commentwise.comments.words import Word, words_of

Method = Literal["exact", "leave-one-out"]
_SMALLEST = 1e-12
"""Probabilities are kept this far from 0 and 1, so that log-odds are finite."""


@dataclass(frozen=True)
class WordWeight:
    """A word of the text, and its weight."""

    text: str
    start: int
    end: int
    """The characters `text[start:end]` of the explained text, as it was given."""
    weight: float
    """In natural-log units. Positive: the word speaks for the label; negative: against it."""


@dataclass(frozen=True)
class Explanation:
    """The weights of a text's words in the classifier's answer about one label."""

    label: str
    probability: float
    """Calibrated, of this label."""
    method: Method
    bias: float | None
    """`exact`: the logit of a text without words. `leave-one-out` has none."""
    words: tuple[WordWeight, ...]
    """In the order of the text. What the model did not read, because it had too many tokens, is not among them."""


@dataclass(frozen=True)
class Unit:
    """A word to be explained: its characters in the text, and the positions of its tokens."""

    start: int
    end: int
    tokens: tuple[int, ...]


def units_of(text: str, normalized: str, normalize: Callable[[str], str], encoding: Encoding) -> list[Unit]:
    """Return the words of `text` that have tokens in `encoding`, which is that of `normalized`, in order.

    Text written without spaces between words is divided as the tokenizer divides it.
    """
    facts = zip(encoding.offsets, encoding.word_ids, encoding.special_tokens_mask, strict=True)
    tokens = [
        (position, start, end, -1 if number is None else number)
        for position, ((start, end), number, special) in enumerate(facts)
        if not special and end > start
    ]
    words = iter(words_of(text, normalized, normalize, max((end for _, _, end, _ in tokens), default=0)))
    word = next(words, None)
    found: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for position, start, end, number in tokens:
        while word is not None and end > word.normalized_end:
            word = next(words, None)
        if word is None:
            break
        if _is_divided(text, normalized, word):
            shift = word.start - word.normalized_start
            found.setdefault((word.start, number), []).append((max(start + shift, word.start), end + shift, position))
        else:
            found.setdefault((word.start, -1), []).append((word.start, word.end, position))
    return [
        Unit(min(starts), max(ends), positions)
        for starts, ends, positions in (zip(*pieces, strict=True) for pieces in found.values())
    ]


def _is_divided(text: str, normalized: str, word: Word) -> bool:
    """Whether a word is text without spaces whose characters are the same in the normalised text."""
    characters = text[word.start : word.end]
    return characters == normalized[word.normalized_start : word.normalized_end] and bool(UNSPACED.search(characters))


def rows_without(ids: Sequence[int], units: Sequence[Unit]) -> list[list[int]]:
    """Return the token ids without each unit's: one row per unit."""
    rows = []
    for unit in units:
        left_out = set(unit.tokens)
        rows.append([token for position, token in enumerate(ids) if position not in left_out])
    return rows


def leave_one_out(
    text: str, units: Sequence[Unit], label: str, probability: float, without: Sequence[float]
) -> Explanation:
    """Explain the `probability` of a label by its probabilities `without` each unit."""
    whole = _log_odds(probability)
    weights = [whole - _log_odds(value) for value in without]
    return Explanation(label, probability, "leave-one-out", None, _weighted(text, units, weights))


def exact(
    text: str,
    units: Sequence[Unit],
    label: str,
    probability: float,
    parts: NDArray[np.float64],
    bias: float,
) -> Explanation:
    """Explain a label by the units' `parts` of its logit, shape (units,)."""
    return Explanation(label, probability, "exact", float(bias), _weighted(text, units, parts.tolist()))


def _weighted(text: str, units: Sequence[Unit], weights: Sequence[float]) -> tuple[WordWeight, ...]:
    return tuple(
        WordWeight(text[unit.start : unit.end], unit.start, unit.end, weight)
        for unit, weight in zip(units, weights, strict=True)
    )


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, _SMALLEST), 1 - _SMALLEST)
    return math.log(bounded / (1 - bounded))

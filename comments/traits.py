"""Figures about a comment that can be stored without its text: length, unknown words, script, emoji."""

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class Traits:
    """Figures about a comment. Shares are between 0 and 1."""

    tokens: int
    """Tokens that the model reads, special tokens included."""
    unknown_share: float
    """Tokens that are unknown to the tokenizer, of all tokens without the special ones."""
    split_share: float
    """Words that the tokenizer splits into several tokens, of all words."""
    latin_share: float
    """Latin letters, of all letters; 1 if there are none."""
    emoji_share: float
    """Emoji and other symbols, of all characters."""


def traits_of(text: str, ids: Sequence[int], words: Sequence[int | None], unknown: int | None) -> Traits:
    """The traits of a normalised text.

    `ids` and `words` are the tokenizer's output: the id of each token and the number of its word, None for special
    tokens. `unknown` is the id of the unknown token.

    >>> traits_of("great видео", ids=[1, 5, 6, 7, 2], words=[None, 0, 1, 1, None], unknown=7)
    Traits(tokens=5, unknown_share=0.3333333333333333, split_share=0.5, latin_share=0.5, emoji_share=0.0)
    """
    pieces = Counter(word for word in words if word is not None)
    unknown_tokens = list(ids).count(unknown) if unknown is not None else 0
    latin, emoji = _scripts(text)
    return Traits(
        tokens=len(ids),
        unknown_share=unknown_tokens / max(1, sum(pieces.values())),
        split_share=sum(count > 1 for count in pieces.values()) / max(1, len(pieces)),
        latin_share=latin,
        emoji_share=emoji,
    )


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """The id of the unknown token; None for a tokenizer that knows every byte."""
    model = json.loads(tokenizer.to_str())["model"]
    if isinstance(number := model.get("unk_id"), int):  # of Unigram models
        return number
    token = model.get("unk_token")
    return tokenizer.token_to_id(token) if token else None


def text_hash(text: str) -> str:
    """A hash that identifies a normalised text. Short texts can be guessed from it: it is a pseudonym, not a secret."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]


def _scripts(text: str) -> tuple[float, float]:
    if text.isascii():  # nearly always, and a hundred times faster
        return 1.0, 0.0
    letters = [character for character in text if character.isalpha()]
    latin = sum(character.isascii() or unicodedata.name(character, "").startswith("LATIN") for character in letters)
    pictures = sum(unicodedata.category(character) == "So" for character in text)
    return latin / len(letters) if letters else 1.0, pictures / len(text)

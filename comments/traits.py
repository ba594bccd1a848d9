"""What can be said of a comment without keeping it: how long it is, how strange to the tokenizer, in which script."""

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class Signals:
    """A comment's figures. Shares are between 0 and 1."""

    tokens: int
    """Those the model reads, special ones included."""
    unknown_share: float
    """Of the tokens: those the tokenizer has no piece for."""
    split_share: float
    """Of the words: those the tokenizer does not know whole and reads in pieces."""
    latin_share: float
    """Of the letters: those of the Latin script; 1 where there are no letters."""
    emoji_share: float
    """Of the characters: emoji and other pictures."""


def signals_of(text: str, ids: Sequence[int], words: Sequence[int | None], unknown: int | None) -> Signals:
    """The figures of a normalised text.

    `ids` and `words` are what the tokenizer says of it (each token's id and the number of its word, None for special
    tokens); `unknown` is the id of the token for what it does not know.
    """
    pieces = Counter(word for word in words if word is not None)
    unknown_tokens = list(ids).count(unknown) if unknown is not None else 0
    latin, emoji = _scripts(text)
    return Signals(
        tokens=len(ids),
        unknown_share=unknown_tokens / max(1, sum(pieces.values())),
        split_share=sum(count > 1 for count in pieces.values()) / max(1, len(pieces)),
        latin_share=latin,
        emoji_share=emoji,
    )


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """The id of the token for what the tokenizer does not know; None where it knows every byte."""
    model = json.loads(tokenizer.to_str())["model"]
    if isinstance(number := model.get("unk_id"), int):  # of Unigram models
        return number
    token = model.get("unk_token")
    return tokenizer.token_to_id(token) if token else None


def text_hash(text: str) -> str:
    """A normalised text's name by content. Short texts can be guessed from it: it is a pseudonym, no secret."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]


def _scripts(text: str) -> tuple[float, float]:
    if text.isascii():  # nearly always, and a hundred times faster
        return 1.0, 0.0
    letters = [character for character in text if character.isalpha()]
    latin = sum(character.isascii() or unicodedata.name(character, "").startswith("LATIN") for character in letters)
    pictures = sum(unicodedata.category(character) == "So" for character in text)
    return latin / len(letters) if letters else 1.0, pictures / len(text)

"""Tokenisation from a single tokenizer.json, without transformers."""

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from commentwise.comments.normalize import NORMALIZATION_VERSION, normalizer
from commentwise.errors import CommentwiseError

BOUNDARY = "\u2581"
"""Stands before each word in the spelling of a comment, as in SentencePiece's vocabularies."""
MAX_SPELLED = 24
"""Characters of a token that are spelled. Some vocabularies have tokens such as 100 dashes."""


def load_tokenizer(path: Path, max_tokens: int) -> Tokenizer:
    """Read a tokenizer.json; sequences are truncated to `max_tokens`, special tokens included, and never padded.

    Raises CommentwiseError if the file is missing or not a tokenizer.
    """
    try:
        return tokenizer_from_text(path.read_text(encoding="utf-8"), max_tokens)
    except FileNotFoundError:
        raise CommentwiseError(f"{path} is missing: restore it, or export the bundle again") from None
    except Exception as error:  # the library raises bare Exception for content it cannot read
        raise CommentwiseError(
            f"{path} is not a readable tokenizer.json ({error}): restore it, or export the bundle again"
        ) from None


def tokenizer_from_text(text: str, max_tokens: int) -> Tokenizer:
    """Build a tokenizer from the text of a tokenizer.json, with truncation as in `load_tokenizer`."""
    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def without_padding(text: str) -> str:
    """Return the text of a tokenizer.json without padding and truncation of its own; other settings stay as they are.

    Many published files pad to the length with which their model was trained, so a program that loads one without
    switching that off gets other token ids.
    """
    content = json.loads(text)
    own = {name: None for name in ("truncation", "padding") if content.get(name) is not None}
    return json.dumps(content | own, ensure_ascii=False, indent=2) if own else text


def encode(
    tokenizer: Tokenizer, texts: Sequence[str], normalization_version: int = NORMALIZATION_VERSION
) -> list[list[int]]:
    """Normalise texts and return their token ids: one list per text, special tokens included."""
    normalize = normalizer(normalization_version)
    return [encoding.ids for encoding in tokenizer.encode_batch([normalize(text) for text in texts])]


def spellings(tokenizer: Tokenizer) -> list[str]:
    """Return the characters of each token of the vocabulary, by token id.

    The spellings of a comment's tokens are the comment as the tokenizer reads it: BOUNDARY stands before each word, and in
    place of each special token. Tokens of a vocabulary that marks the spaces itself are spelled as they are.

    >>> from tokenizers.models import WordPiece
    >>> spellings(Tokenizer(WordPiece({"good": 0, "##ness": 1}, unk_token="[UNK]")))
    ['▁good', 'ness']
    """
    model = json.loads(tokenizer.to_str())["model"]
    continuing = model.get("continuing_subword_prefix")
    whole_words = model["type"] in ("WordPiece", "WordLevel")
    special = {token for token, added in tokenizer.get_added_tokens_decoder().items() if added.special}
    vocabulary = tokenizer.get_vocab()
    spelled = [""] * (max(vocabulary.values()) + 1)
    for piece, token in vocabulary.items():
        if token in special:
            spelled[token] = BOUNDARY
        elif continuing and piece.startswith(continuing) and piece != continuing:
            spelled[token] = piece.removeprefix(continuing)[:MAX_SPELLED]
        else:
            spelled[token] = ((BOUNDARY if whole_words else "") + piece)[:MAX_SPELLED]
    return spelled

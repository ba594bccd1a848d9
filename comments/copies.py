"""Exact and near copies among comments, grouped so that no copy of a test comment is in the training part."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SHINGLE = 5
PERMUTATIONS = 128
WEIGHTS = (0.01, 0.99)
"""Weights of false positives and false negatives in the choice of LSH bands. With these, 98% of the pairs at the
threshold are found, and nearly all a little above it. False positives are cheap, since every pair is confirmed."""
MINHASH_SEED = 1

# Eyes, an optional nose and tear, and a mouth; or a heart, or a face from the front.
_EMOTICON = re.compile(
    r"(?<![0-9])([:;=])(')?[-o^~*]?([()\[\]{}|\\*@$]|/(?!/)|[dpo3](?![^\W_]))\3*|</?3|\^[_.]*\^|-[_.]+-|>[_.]+<|;[_.]+;"
)
_MOUTHS = str.maketrans("[]{}/", "()()\\")
# Vowel points of Arabic and Hebrew, which writers may leave out, and variation selectors, which change how a character looks.
_OPTIONAL_MARK = re.compile(
    "[\u0591-\u05c7\u0610-\u061a\u064b-\u0652\u0670\u06d6-\u06ed\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_FIRST_SYMBOL = 0x2190
"""Code point from which symbols, such as arrows, hearts and emoji, are part of what a comment says."""


def copy_key(text: str) -> str:
    """Reduce a text to its letters, digits, emoji and emoticons, without case, punctuation and white space.

    Copies share a key. Marks stay: they are the vowels of Indic and Thai words. A text of punctuation alone is its own key.

    >>> copy_key("Best. Tutorial. EVER!! :-)))")
    'besttutorialever:)'
    >>> copy_key("?!")
    '?!'
    """
    kept, end = [], 0
    folded = _OPTIONAL_MARK.sub("", text.casefold())
    for face in _EMOTICON.finditer(folded):
        kept += [*filter(_says_something, folded[end : face.start()]), _emoticon(face)]
        end = face.end()
    kept += filter(_says_something, folded[end:])
    return "".join(kept) or text


def _says_something(character: str) -> bool:
    if character.isalnum():
        return True
    category = unicodedata.category(character)[0]
    return category == "M" or (ord(character) >= _FIRST_SYMBOL and category not in "PZ")


def _emoticon(face: re.Match[str]) -> str:
    """An emoticon in one form: `:)` for `:-)`, `=)` and `:]))`."""
    if not face[1]:
        return face[0]
    return (";" if face[1] == ";" else ":") + (face[2] or "") + face[3].translate(_MOUTHS)


def group_copies(texts: Sequence[str], threshold: float) -> NDArray[np.int64]:
    """Number the groups of copies: one group number per text, shape (texts,).

    Two texts are copies when their keys are equal or the Jaccard similarity of their keys' character 5-grams reaches
    `threshold`. Pairs are proposed by MinHash LSH (Broder 1997; Leskovec et al., "Mining of Massive Datasets", ch. 3)
    and confirmed exactly. Copies of copies are in one group.

    >>> group_copies(["Great video!", "great video", "Bad sound"], threshold=0.8).tolist()
    [1, 1, 0]
    """
    keys, key_of_text = np.unique([copy_key(text) for text in texts], return_inverse=True)
    shingles = [_shingles(key) for key in keys.tolist()]
    pairs = _similar_pairs(shingles, threshold)
    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    links = coo_array((np.ones(len(pairs)), (rows, columns)), shape=(len(keys), len(keys)))
    _, group_of_key = connected_components(links, directed=False)
    return np.asarray(group_of_key[key_of_text], dtype=np.int64)


def _similar_pairs(shingles: list[frozenset[bytes]], threshold: float) -> list[tuple[int, int]]:
    index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, weights=WEIGHTS)
    pairs = []
    for number, sketch in enumerate(MinHash.generator(shingles, num_perm=PERMUTATIONS, seed=MINHASH_SEED)):
        pairs += [
            (number, other) for other in index.query(sketch) if _jaccard(shingles[number], shingles[other]) >= threshold
        ]
        index.insert(number, sketch)
    return sorted(pairs)


def _shingles(key: str) -> frozenset[bytes]:
    return frozenset(key[start : start + SHINGLE].encode() for start in range(max(1, len(key) - SHINGLE + 1)))


def _jaccard(one: frozenset[bytes], other: frozenset[bytes]) -> float:
    return len(one & other) / len(one | other)

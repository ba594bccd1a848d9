"""Exact and near copies among comments, grouped so that no copy of a test comment is in the training part."""

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


def copy_key(text: str) -> str:
    """Reduce a text to its letters, digits and emoji, without case, punctuation and white space; copies share a key.

    A text of punctuation alone is its own key.

    >>> copy_key("Best. Tutorial. EVER!!")
    'besttutorialever'
    >>> copy_key("?!")
    '?!'
    """
    kept = "".join(character for character in text.casefold() if character.isalnum() or ord(character) > 0x2190)
    return kept or text


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

"""Clusters of comments by the meaning of their words, each with the words and the comments that tell what it is about."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from commentwise.errors import CommentwiseError
from commentwise.models.checkpoint import EMBEDDED, resolve_checkpoint, tokenizer_json

FEWEST, MOST = 3, 12
"""Limits on the number of clusters; more do not fit on a screen or two."""
SMOOTHING = 1e-4
"""Word pieces more frequent than this weigh less than half."""
WORDS = 7
CENTRAL = 3
NEARLY_THE_SAME = 0.95
"""Cosine of the vectors of comments that differ in a few words."""
MIN_COMMENTS = 20

Vectors = NDArray[np.float64]

# Letters of scripts that are written without spaces, otherwise a word, or one pictograph.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_TOKEN = re.compile(rf"[{_UNSPACED}]+|[^\W\d_{_UNSPACED}]+(?:['’][^\W\d_]+)*|[\u2600-\u27bf\U0001f300-\U0001faff]")
_PLACEHOLDERS = {"user", "http"}
"""Words that normalisation puts in the place of names and addresses."""


@dataclass(frozen=True)
class Clusters:
    """Clusters of comments, the largest first."""

    vectors: Vectors
    """A unit vector per comment, shape (comments, dimensions); zero for an empty one."""
    numbers: NDArray[np.int64]
    """The cluster of each comment, from 0, shape (comments,)."""
    words: list[list[str]]
    """The most telling words of each cluster."""
    central: list[list[int]]
    """The comments nearest to the centre of each cluster."""

    def members(self, number: int) -> NDArray[np.int64]:
        """The comments of a cluster."""
        return np.flatnonzero(self.numbers == number)


def tokens(text: str) -> list[str]:
    """The words of a text in lower case; pairs of letters where words are not separated; pictographs.

    >>> tokens("I don't like the sound 😂 音が悪い")
    ["don't", 'like', 'sound', '😂', '音が', 'が悪', '悪い']
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    found: list[str] = []
    for word in _TOKEN.findall(text.casefold()):
        if re.match(f"[{_UNSPACED}]{{2}}", word):
            found += [word[start : start + 2] for start in range(len(word) - 1)]
        elif word not in ENGLISH_STOP_WORDS and word not in _PLACEHOLDERS and (len(word) > 1 or not word.isascii()):
            found.append(word)
    return found


def cluster(texts: Sequence[str], seed: int) -> Clusters:
    """Cluster different, normalised texts by k-means on their vectors.

    The number of clusters is a sixth of the square root of the number of comments, within FEWEST and MOST. The same
    texts give the same clusters. Raises CommentwiseError if there are too few texts, or no embedded checkpoint.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    if len(texts) < MIN_COMMENTS:
        raise CommentwiseError(
            f"{len(texts)} different comments are too few for clusters: label them by hand, or collect at least {MIN_COMMENTS}"
        )
    # The sums of more threads differ in the last bits from run to run.
    with threadpool_limits(1):
        vectors = sentence_vectors(texts)
        count = min(MOST, max(FEWEST, round(len(texts) ** 0.5 / 6)))
        means = KMeans(count, n_init=3, random_state=seed).fit(vectors)
    sizes = np.bincount(means.labels_, minlength=count)
    order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    numbers = np.argsort(np.argsort(-sizes, kind="stable"))[means.labels_]
    central = [
        nearest(vectors, np.flatnonzero(numbers == number), means.cluster_centers_[old], CENTRAL)
        for number, old in enumerate(order)
    ]
    return Clusters(vectors, numbers, telling_words(texts, numbers), central)


def sentence_vectors(texts: Sequence[str]) -> Vectors:
    """Unit vectors of texts, shape (texts, dimensions): means of the embedded checkpoint's word-piece vectors.

    Frequent word pieces weigh less, and what all texts have in common is removed (Arora et al. 2017, "A Simple but
    Tough-to-Beat Baseline for Sentence Embeddings"). The encoder's layers are not run: thousands of comments take seconds.
    """
    from safetensors import safe_open
    from sklearn.preprocessing import normalize
    from tokenizers import Tokenizer

    with safe_open(resolve_checkpoint(EMBEDDED) / "model.safetensors", "np") as weights:
        name = next(name for name in weights.keys() if name.endswith("word_embeddings.weight"))  # noqa: SIM118
        pieces = weights.get_tensor(name).astype(np.float64)
    tokenizer = Tokenizer.from_str(tokenizer_json(EMBEDDED))
    rows = [encoding.ids for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False)]
    counts = np.bincount([piece for row in rows for piece in row], minlength=len(pieces))
    pieces *= (SMOOTHING / (SMOOTHING + counts / max(counts.sum(), 1)))[:, None]
    means = np.vstack([pieces[row].mean(axis=0) if row else np.zeros(pieces.shape[1]) for row in rows])
    _, directions = np.linalg.eigh(means.T @ means)
    common = directions[:, -1:]
    return np.asarray(normalize(means - means @ common @ common.T))


def telling_words(texts: Sequence[str], numbers: NDArray[np.int64]) -> list[list[str]]:
    """The words that tell each cluster from the others, most telling first.

    Class-based TF-IDF: a word's share among the words of a cluster, times the logarithm of how many times higher it is
    than among all words. A word counts once per comment.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(analyzer=tokens, binary=True, min_df=2)
    try:
        words = counter.fit_transform(texts)
    except ValueError:  # no word is in two comments
        return [[] for _ in range(numbers.max() + 1)]
    names = counter.get_feature_names_out()
    counts = np.vstack(
        [np.asarray(words[numbers == number].sum(axis=0)).ravel() for number in range(numbers.max() + 1)]
    )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    scores = shares * np.log(np.maximum(shares, 1e-12) / (counts.sum(axis=0) / counts.sum()))
    return [
        [str(names[index]) for index in np.argsort(-row, kind="stable")[:WORDS] if row[index] > 0] for row in scores
    ]


def nearest(vectors: Vectors, members: NDArray[np.int64], centre: NDArray[np.float64], count: int = 1) -> list[int]:
    """The members nearest to a centre, nearest first; of those that are nearly the same, one."""
    chosen: list[int] = []
    for index in members[np.argsort(-(vectors[members] @ centre), kind="stable")].tolist():
        if not chosen or (vectors[chosen] @ vectors[index]).max() < NEARLY_THE_SAME:
            chosen.append(index)
        if len(chosen) == count:
            break
    return chosen

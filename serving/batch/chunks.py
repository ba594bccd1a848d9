"""Rows in, answers out: runs of rows are judged, scored and made ready to be written, several runs at once."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from commentwise.comments.files import PEEKED_ROWS, Row, Rows
from commentwise.comments.limits import MAX_CHARACTERS
from commentwise.comments.normalize import normalize
from commentwise.models.bundle import Classifier, Prediction, bundle_id
from commentwise.serving.batch.writers import RowFormat, ScoredChunk, encode_jsonl

CHUNK_ROWS = 2000
"""Input rows that are scored and written together, and after a kill repeated together."""
CHUNKS_AT_ONCE = 3
"""While the last comments of one chunk run, those of the next are tokenised and waiting: no core is ever idle."""
PROBABILITY_DIGITS = 6


def answer_columns(labels: Sequence[str]) -> dict[str, str]:
    """The columns that scoring adds, with their Arrow types."""
    return {
        "label": "string",
        "confidence": "double",
        **{f"p_{label}": "double" for label in labels},
        "bundle": "string",
    }


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of the inputs."""

    index: int
    rows: list[Row]
    position: int
    """Bytes of the inputs read by its end."""


def chunks(rows: Rows, remaining: Iterator[Row], index: int) -> Iterator[Chunk]:
    """Yield the `remaining` ones of `rows` in chunks, the first of them number `index`.

    Chunk 0 is there even without rows, since it brings the header.
    """
    while (chunk := list(islice(remaining, CHUNK_ROWS))) or index == 0:
        yield Chunk(index, chunk, rows.position)
        index += 1


class Scorer:
    """Turns chunks of rows into what is written about them."""

    def __init__(self, classifier: Classifier, column: str, only: frozenset[str] | None, form: RowFormat) -> None:
        """Score the texts in `column`. Where `form` has fixed columns, rows may bring `only` these."""
        self.classifier = classifier
        self._column = column
        self._only = only
        self._form = form
        self._answers = frozenset(answer_columns(classifier.manifest.labels))
        self._bundle = bundle_id(classifier.folder)[:12]  # as much as the server shows

    def __call__(self, chunk: Chunk) -> ScoredChunk:
        """Score a chunk; rows that cannot be scored become rejects."""
        accepted: list[tuple[Row, str]] = []
        rejects: list[dict[str, Any]] = []
        for row in chunk.rows:
            text, reason = self._judged(row)
            if reason:
                rejects.append({"file": row.file, "row": row.number, "reason": reason, "raw": row.raw})
            else:
                accepted.append((row, text))
        texts = list(dict.fromkeys(text for _, text in accepted))  # equal comments are computed once
        predictions = dict(zip(texts, self.classifier.predict(texts), strict=True))
        rows = [row.values | self._answer(predictions[text]) for row, text in accepted]
        return ScoredChunk(
            rows=self._form.encode(rows, chunk.index == 0),
            rejects=encode_jsonl(rejects),
            labels=Counter(predictions[text].label for _, text in accepted),
            rejected=len(rejects),
            position=chunk.position,
        )

    def _judged(self, row: Row) -> tuple[str, str]:
        """A row's normalised text, or the reason why it cannot be scored."""
        if reason := row.reason or self._misfit(row.values.keys()):
            return "", reason
        text = row.values.get(self._column)
        if text is None or text == "":
            return "", "no text"
        if not isinstance(text, str):
            return "", f"the text is of type {type(text).__name__}"
        if len(text) > MAX_CHARACTERS:
            return "", f"the text has {len(text)} characters and the limit is {MAX_CHARACTERS}"
        normalized = normalize(text)
        return normalized, "" if normalized else "nothing is left of the text but white space and invisible characters"

    def _misfit(self, columns: Set[str]) -> str:
        if taken := columns & self._answers:
            return f"column {min(taken)!r} is the name of an answer"
        if self._only is not None and (extra := columns - self._only):
            return f"column {min(extra)!r} is in none of the first {PEEKED_ROWS} rows: only .jsonl takes it later"
        return ""

    def _answer(self, prediction: Prediction) -> dict[str, Any]:
        shares = {f"p_{label}": round(share, PROBABILITY_DIGITS) for label, share in prediction.probabilities.items()}
        confidence = shares[f"p_{prediction.label}"]
        return {"label": prediction.label, "confidence": confidence, **shares, "bundle": self._bundle}


def in_order(pool: ThreadPoolExecutor, scorer: Scorer, chunks: Iterable[Chunk]) -> Iterator[ScoredChunk]:
    """Score several chunks at once; yield what became of each, in order."""
    running: deque[Future[ScoredChunk]] = deque()
    for chunk in chunks:
        running.append(pool.submit(scorer, chunk))
        if len(running) == CHUNKS_AT_ONCE:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()

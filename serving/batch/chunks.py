"""Scoring in chunks: consecutive rows are validated, scored and encoded for writing, several chunks at once."""

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from commentwise.comments.files import Rows
from commentwise.comments.formats.rows import PEEKED_ROWS, Row, cell_text, kind_of
from commentwise.comments.limits import MAX_CHARACTERS
from commentwise.errors import CommentwiseError
from commentwise.models.bundle import Classifier, Prediction, bundle_id
from commentwise.serving.batch.outputs import ScoredChunk
from commentwise.serving.batch.writers import RowFormat, encode_jsonl

CHUNK_ROWS = 2000
"""Rows of a chunk. A chunk is written as a whole; after a kill, unfinished chunks are scored again."""
CHUNKS_AT_ONCE = 3
"""Enough to keep all cores busy: while the last comments of a chunk run, those of the next are tokenised."""
PROBABILITY_DIGITS = 6


def answer_columns(labels: Sequence[str]) -> dict[str, str]:
    """The columns that scoring adds, with their Arrow types.

    >>> list(answer_columns(["no", "yes"]))
    ['label', 'confidence', 'p_no', 'p_yes', 'bundle']
    """
    return {
        "label": "string",
        "confidence": "double",
        **{f"p_{label}": "double" for label in labels},
        "bundle": "string",
    }


def was_scored(name: str, columns: Collection[str], answers: Collection[str]) -> bool:
    """True if an input has all columns that scoring adds, so an earlier run wrote it and they are replaced.

    Raises CommentwiseError if it has only some of them, which may be somebody's labels.
    """
    taken = [column for column in columns if column in answers]
    if 0 < len(taken) < len(answers):
        raise CommentwiseError(
            f"{name} has a column {taken[0]!r}, which scoring adds: rename it, e.g. --rename {taken[0]}={taken[0]}_before"
        )
    return bool(taken)


def replacing(names: Iterable[str], answers: Collection[str]) -> str:
    """The line about inputs that were scored before."""
    return f"scored before: {', '.join(names)}: the columns {', '.join(answers)} are replaced"


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of the inputs."""

    index: int
    rows: list[Row]
    position: int
    """Bytes of the inputs that were read when it was complete."""


def chunks(rows: Rows, remaining: Iterator[Row], index: int) -> Iterator[Chunk]:
    """Divide the `remaining` rows into chunks, numbered from `index`.

    There is always a chunk 0, even without rows, since it writes the header.
    """
    while (chunk := list(islice(remaining, CHUNK_ROWS))) or index == 0:
        yield Chunk(index, chunk, rows.position)
        index += 1


class Scorer:
    """Scores chunks of rows."""

    def __init__(
        self,
        classifier: Classifier,
        column: str,
        only: frozenset[str] | None,
        form: RowFormat,
        scored_before: Collection[str] = (),
    ) -> None:
        """Score the texts in `column` and encode the results with `form`.

        `only` are the columns that rows may have, or None if `form` takes any. The answers in rows of the files
        `scored_before` are replaced.
        """
        self.classifier = classifier
        self._column = column
        self._only = only
        self._form = form
        self._scored_before = frozenset(scored_before)
        self._answers = frozenset(answer_columns(classifier.manifest.labels))
        self._bundle = bundle_id(classifier.folder)[:12]  # the same prefix as the server shows

    def __call__(self, chunk: Chunk) -> ScoredChunk:
        """Score a chunk; rows that cannot be scored become rejects."""
        accepted: list[tuple[Row, str]] = []
        rejects: list[dict[str, Any]] = []
        for row in chunk.rows:
            if row.file in self._scored_before and row.values.keys() >= self._answers:
                row.values = {name: value for name, value in row.values.items() if name not in self._answers}
            text, reason = self._validated(row)
            if reason:
                rejects.append({"file": row.file, "row": row.number, "reason": reason, "raw": row.raw})
            else:
                accepted.append((row, text))
        texts = list(dict.fromkeys(text for _, text in accepted))  # equal texts run once
        predictions = dict(zip(texts, self.classifier.predict(texts), strict=True))
        rows = [row.values | self._answer(predictions[text]) for row, text in accepted]
        return ScoredChunk(
            rows=self._form.encode(rows, chunk.index == 0),
            rejects=encode_jsonl(rejects),
            labels=Counter(predictions[text].label for _, text in accepted),
            reasons=Counter(kind_of(reject["reason"]) for reject in rejects),
            position=chunk.position,
        )

    def _validated(self, row: Row) -> tuple[str, str]:
        """The normalised text of a row, or the reason why it cannot be scored."""
        if reason := row.reason or self._misfit(row.values.keys()):
            return "", reason
        try:
            text = cell_text(row.values.get(self._column))
        except ValueError as error:
            return "", f"not a text: column {self._column!r} {error}"
        if text is None:
            return "", "no text"
        if len(text) > MAX_CHARACTERS:
            return "", f"text too long: it has {len(text)} characters and the limit is {MAX_CHARACTERS}"
        normalized = self.classifier.manifest.normalize(text)
        return normalized, "" if normalized else "the text has only white space and invisible characters"

    def _misfit(self, columns: Set[str]) -> str:
        if taken := columns & self._answers:
            return f"column that scoring adds: {min(taken)!r}; name it otherwise with --rename"
        if self._only is not None and (extra := columns - self._only):
            return (
                f"late column: {min(extra)!r} is not in the first {PEEKED_ROWS} rows; only a .jsonl output accepts it"
            )
        return ""

    def _answer(self, prediction: Prediction) -> dict[str, Any]:
        shares = {f"p_{label}": round(share, PROBABILITY_DIGITS) for label, share in prediction.probabilities.items()}
        confidence = shares[f"p_{prediction.label}"]
        return {"label": prediction.label, "confidence": confidence, **shares, "bundle": self._bundle}


def in_order(pool: ThreadPoolExecutor, scorer: Scorer, chunks: Iterable[Chunk]) -> Iterator[ScoredChunk]:
    """Score several chunks at once; yield the results in order."""
    running: deque[Future[ScoredChunk]] = deque()
    for chunk in chunks:
        running.append(pool.submit(scorer, chunk))
        if len(running) == CHUNKS_AT_ONCE:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()

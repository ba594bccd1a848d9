"""An entry of the prediction log: the record of an answer, and its conversion to a table row."""

from dataclasses import asdict
from typing import Any, NamedTuple

from commentwise.comments.language import language_of
from commentwise.comments.traits import text_hash, traits_of


class LogEntry(NamedTuple):
    """One answer. The server appends it to a buffer; the log writer computes the row, which takes longer."""

    id: str
    """Random, so that an entry that is sent twice is stored once."""
    time: float
    """Seconds since 1970."""
    request_id: str
    position: int
    """Of the text among those of its request, from 0."""
    bundle_id: str
    text: str
    """Normalised."""
    token_ids: list[int]
    word_ids: list[int | None]
    """The number of each token's word; None for special tokens."""
    unknown_id: int | None
    """The id of the bundle's token for unknown words; None where its tokenizer has none."""
    truncated: bool
    language: str
    """Empty where the answer has none: the log writer tells it from the text."""
    label: str
    labels: list[str]
    probabilities: list[float]
    """In the order of `labels`."""
    seconds: float
    """In the queue and in inference."""

    def row(self, keep_text: bool) -> dict[str, Any]:
        """Return the row of the table `predictions` (models/prediction_log.py), by column."""
        return {
            "id": self.id,
            "time": self.time,
            "request_id": self.request_id,
            "position": self.position,
            "bundle_id": self.bundle_id,
            "text_hash": text_hash(self.text),
            **asdict(traits_of(self.text, self.token_ids, self.word_ids, self.unknown_id)),
            "truncated": self.truncated,
            "language": self.language or language_of(self.text),
            "label": self.label,
            "probabilities": {
                label: round(share, 6) for label, share in zip(self.labels, self.probabilities, strict=True)
            },
            "seconds": self.seconds,
            "text": self.text if keep_text else None,
        }

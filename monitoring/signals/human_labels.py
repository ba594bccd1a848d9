"""Labels from people: the feedback in the log, settled to one label per comment.

Predictions are provenance and never labels. Each rater counts once per comment, with the latest label. Where raters
disagree the majority decides, and a tie is set aside as a conflict.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, and_, select

from commentwise.models.prediction_log import feedback, predictions


@dataclass(frozen=True)
class Rating:
    """The label that a person gave to a comment, with the prediction that it refers to, if it is in the log."""

    id: str
    time: float
    text_hash: str | None
    text: str | None
    label: str
    rater: str
    source: str
    predicted: str | None
    bundle_id: str | None


@dataclass(frozen=True)
class Settled:
    """The outcome of all ratings."""

    comments: list[dict[str, Any]]
    """Rows that `commentwise.training.data.ingest` reads, each with the provenance of its label."""
    conflicts: list[dict[str, Any]]
    without_text: int
    """Comments whose text is unknown, since predictions are logged without it."""

    def __str__(self) -> str:
        parts = [f"{len(self.comments):,} labelled comments"]
        if self.conflicts:
            parts.append(f"{len(self.conflicts):,} set aside because the raters are tied")
        if self.without_text:
            parts.append(f"{self.without_text:,} left out because their text was not logged")
        return ", ".join(parts)


def read_feedback(connection: Connection) -> list[Rating]:
    """Read all feedback, oldest first. Feedback on a prediction gets its text, label and bundle from the log."""
    about = and_(predictions.c.request_id == feedback.c.request_id, predictions.c.position == feedback.c.position)
    both = feedback.outerjoin(predictions, about)
    logged = [predictions.c[name].label(f"logged_{name}") for name in ("text_hash", "text", "label", "bundle_id")]
    found = connection.execute(select(feedback, *logged).select_from(both).order_by(feedback.c.time, feedback.c.id))
    ratings = {  # a client may use a request id twice: the last prediction counts
        row.id: Rating(
            id=row.id,
            time=row.time,
            text_hash=row.text_hash or row.logged_text_hash,
            text=row.text or row.logged_text,
            label=row.label,
            rater=row.rater,
            source=row.source,
            predicted=row.logged_label or row.predicted,
            bundle_id=row.logged_bundle_id or row.bundle_id,
        )
        for row in found
    }
    return list(ratings.values())


def settle(ratings: Sequence[Rating]) -> Settled:
    """Decide on one label per comment."""
    by_comment: dict[str, list[Rating]] = defaultdict(list)
    for rating in ratings:
        if rating.text_hash is not None:
            by_comment[rating.text_hash].append(rating)
    comments, conflicts, without_text = [], [], sum(rating.text_hash is None for rating in ratings)
    for text_hash, given in by_comment.items():
        latest = list({rating.rater: rating for rating in given}.values())
        votes = Counter(rating.label for rating in latest).most_common()
        text = next((rating.text for rating in given if rating.text), None)
        if len(votes) > 1 and votes[0][1] == votes[1][1]:
            conflicts.append({"text": text, "votes": dict(votes), "feedback": [rating.id for rating in latest]})
        elif text is None:
            without_text += 1
        else:
            comments.append(_comment(text_hash, text, votes[0][0], latest))
    return Settled(comments, conflicts, without_text)


def settled_labels(ratings: Sequence[Rating]) -> dict[str, str]:
    """The label of each comment by its text hash, whether the text is known or not. Conflicts are left out."""
    known = [replace(rating, text=rating.text or "?") for rating in ratings]
    return {comment["provenance"]["text_hash"]: comment["label"] for comment in settle(known).comments}


def _comment(text_hash: str, text: str, label: str, ratings: Sequence[Rating]) -> dict[str, Any]:
    agreeing = [rating for rating in ratings if rating.label == label]
    latest = agreeing[-1]
    return {
        "comment_id": f"feedback-{text_hash[:16]}",
        "published_at": datetime.fromtimestamp(latest.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "text": text,
        "label": label,
        "provenance": {
            "text_hash": text_hash,
            "sources": sorted({rating.source for rating in agreeing}),
            "raters": len(ratings),
            "agreeing": len(agreeing),
            "feedback": [rating.id for rating in agreeing],
            "predicted": latest.predicted,
            "bundle_id": latest.bundle_id,
        },
    }

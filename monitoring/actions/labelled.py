"""Feedback as labelled comments with their provenance.

  python -m commentwise.monitoring.actions.labelled export comments.jsonl

Labels come from people alone: what the model predicted is provenance and never a label. One rater counts once per
comment, with the last word; where raters disagree the majority decides, and a tie is set aside as a conflict.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from pydantic_settings import CliPositionalArg
from sqlalchemy import Connection, and_, select

from commentwise.errors import run_command
from commentwise.fileio import write_text
from commentwise.models.prediction_log import feedback, opened, predictions
from commentwise.monitoring.settings import LogSettings, read


class FeedbackCommand(LogSettings):
    """Write feedback as labelled comments, one JSON object per line."""

    action: CliPositionalArg[Literal["export"]]
    out: CliPositionalArg[Path] = Field(description="the .jsonl file to write; conflicts go to a file beside it")


@dataclass(frozen=True)
class Said:
    """One feedback, with what the log knows of the prediction it is about."""

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
class Collected:
    """What came of all feedback."""

    comments: list[dict[str, Any]]
    conflicts: list[dict[str, Any]]
    without_text: int
    """Comments whose text is not known, since predictions are logged without it."""

    def __str__(self) -> str:
        parts = [f"{len(self.comments):,} labelled comments"]
        if self.conflicts:
            parts.append(f"{len(self.conflicts):,} set aside because raters disagree evenly")
        if self.without_text:
            parts.append(f"{self.without_text:,} left out because their text was not logged")
        return ", ".join(parts)


def main() -> None:
    """Export the feedback."""
    settings = read(FeedbackCommand, "feedback")
    with opened(settings.prediction_log) as connection:
        collected = collect(read_feedback(connection))
    write_lines(settings.out, collected.comments)
    if collected.conflicts:
        write_lines(settings.out.with_name(f"{settings.out.stem}-conflicts.jsonl"), collected.conflicts)
    print(f"feedback: {collected} -> {settings.out}")


def read_feedback(connection: Connection) -> list[Said]:
    """All feedback, oldest first. What names a prediction gets that one's text, label and bundle from the log."""
    about = and_(predictions.c.request_id == feedback.c.request_id, predictions.c.position == feedback.c.position)
    joined = feedback.outerjoin(predictions, about)
    logged = [predictions.c[name].label(f"logged_{name}") for name in ("text_hash", "text", "label", "bundle_id")]
    found = connection.execute(select(feedback, *logged).select_from(joined).order_by(feedback.c.time, feedback.c.id))
    said = {  # a client may use a request id twice: the last prediction counts
        row.id: Said(
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
    return list(said.values())


def collect(said: Sequence[Said]) -> Collected:
    """Settle on one label per comment."""
    by_comment: dict[str, list[Said]] = defaultdict(list)
    for item in said:
        if item.text_hash is not None:
            by_comment[item.text_hash].append(item)
    comments, conflicts, without_text = [], [], sum(item.text_hash is None for item in said)
    for name, items in by_comment.items():
        last_words = list({item.rater: item for item in items}.values())
        votes = Counter(item.label for item in last_words).most_common()
        text = next((item.text for item in items if item.text), None)
        if len(votes) > 1 and votes[0][1] == votes[1][1]:
            conflicts.append({"text": text, "votes": dict(votes), "feedback": [item.id for item in last_words]})
        elif text is None:
            without_text += 1
        else:
            comments.append(_comment(name, text, votes[0][0], last_words))
    return Collected(comments, conflicts, without_text)


def settled_labels(said: Sequence[Said]) -> dict[str, str]:
    """The label of each comment by its text hash, texts known or not; conflicts are left out."""
    known = [Said(**{**vars(item), "text": item.text or "?"}) for item in said]
    return {comment["provenance"]["text_hash"]: comment["label"] for comment in collect(known).comments}


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write one JSON object per line, atomically."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _comment(name: str, text: str, label: str, said: Sequence[Said]) -> dict[str, Any]:
    """A row that commentwise.training.data.ingest reads, with where its label comes from."""
    agreeing = [item for item in said if item.label == label]
    latest = agreeing[-1]
    return {
        "comment_id": f"feedback-{name[:16]}",
        "published_at": datetime.fromtimestamp(latest.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "text": text,
        "label": label,
        "provenance": {
            "text_hash": name,
            "sources": sorted({item.source for item in agreeing}),
            "raters": len(said),
            "agreeing": len(agreeing),
            "feedback": [item.id for item in agreeing],
            "predicted": latest.predicted,
            "bundle_id": latest.bundle_id,
        },
    }


if __name__ == "__main__":
    run_command(main)

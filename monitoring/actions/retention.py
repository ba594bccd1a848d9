"""Show what the prediction log holds, and delete from it.

commentwise log                      # counts, and the period they span
commentwise log --keep-days 90       # delete older predictions
commentwise log --forget "a comment" # delete all predictions of one comment, and the feedback on it
"""

import time
from datetime import UTC, datetime

from pydantic import Field
from sqlalchemy import Connection, delete, func, select

from commentwise.comments.normalize import VERSIONS, normalize
from commentwise.comments.traits import text_hash
from commentwise.errors import run_command
from commentwise.models.prediction_log import feedback, opened, predictions
from commentwise.monitoring.settings import LogSettings, read

DAY = 86_400


class LogCommand(LogSettings):
    """Show the prediction log, or delete from it."""

    keep_days: float | None = Field(default=None, ge=0, description="delete predictions older than this")
    forget: str | None = Field(default=None, description="delete everything about this comment, given as its text")


def main() -> None:
    """Delete what the flags ask for, and describe the rest."""
    settings = read(LogCommand, "log")
    with opened(settings.prediction_log) as connection:
        if settings.keep_days is not None:
            print(f"deleted: {delete_before(connection, time.time() - settings.keep_days * DAY):,} predictions")
        if settings.forget is not None:
            deleted, ratings = forget(connection, settings.forget)
            print(f"deleted: {deleted:,} predictions of this comment and {ratings:,} feedback on it")
        print(describe(connection))


def delete_before(connection: Connection, seconds: float) -> int:
    """Delete predictions before a time; return how many. Feedback stays: people gave it to be used."""
    return connection.execute(delete(predictions).where(predictions.c.time < seconds)).rowcount


def forget(connection: Connection, text: str) -> tuple[int, int]:
    """Delete a comment's predictions and the feedback on it; return how many of each."""
    digests = {text_hash(normalize(text, version)) for version in VERSIONS}  # of the bundles that may have answered
    requests = select(predictions.c.request_id, predictions.c.position).where(predictions.c.text_hash.in_(digests))
    ratings = 0
    for request_id, position in connection.execute(requests).all():
        about = (feedback.c.request_id == request_id) & (feedback.c.position == position)
        ratings += connection.execute(delete(feedback).where(about)).rowcount
    ratings += connection.execute(delete(feedback).where(feedback.c.text_hash.in_(digests))).rowcount
    return connection.execute(delete(predictions).where(predictions.c.text_hash.in_(digests))).rowcount, ratings


def describe(connection: Connection) -> str:
    """Describe the log in one line."""
    columns = (func.count(), func.min(predictions.c.time), func.max(predictions.c.time), func.count(predictions.c.text))
    rows, first, last, texts = connection.execute(select(*columns).select_from(predictions)).one()
    ratings = connection.scalar(select(func.count()).select_from(feedback))
    span = f" from {_minute(first)} to {_minute(last)}, {texts:,} with their text" if rows else ""
    return f"log: {rows:,} predictions{span}; {ratings:,} feedback"


def _minute(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


if __name__ == "__main__":
    run_command(main)

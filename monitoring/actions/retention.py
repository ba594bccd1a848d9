"""What the prediction log holds, and deleting what it should no longer hold.

python -m commentwise.monitoring.actions.retention                      # counts, and the time they span
python -m commentwise.monitoring.actions.retention --keep-days 90       # delete predictions older than that
python -m commentwise.monitoring.actions.retention --forget "a comment" # delete what is known of one comment, feedback included
"""

import time
from datetime import UTC, datetime

from pydantic import Field
from sqlalchemy import Connection, delete, func, select

from commentwise.comments.normalize import normalize
from commentwise.comments.traits import text_hash
from commentwise.errors import run_command
from commentwise.models.prediction_log import feedback, opened, predictions
from commentwise.monitoring.settings import LogSettings, read

DAY = 86_400


class LogCommand(LogSettings):
    """Show the prediction log, or delete from it."""

    keep_days: float | None = Field(default=None, ge=0, description="delete predictions older than so many days")
    forget: str | None = Field(default=None, description="a comment of which nothing is to be kept")


def main() -> None:
    """Delete what is asked, and say what is there."""
    settings = read(LogCommand, "log")
    with opened(settings.prediction_log) as connection:
        if settings.keep_days is not None:
            print(f"deleted: {delete_before(connection, time.time() - settings.keep_days * DAY):,} predictions")
        if settings.forget is not None:
            gone, said = forget(connection, settings.forget)
            print(f"deleted: {gone:,} predictions and {said:,} feedback on this comment")
        print(describe(connection))


def delete_before(connection: Connection, seconds: float) -> int:
    """Delete predictions from before a time; return how many. Feedback stays: people gave it to be used."""
    return connection.execute(delete(predictions).where(predictions.c.time < seconds)).rowcount


def forget(connection: Connection, text: str) -> tuple[int, int]:
    """Delete a comment's predictions and the feedback on it; return how many of each."""
    name = text_hash(normalize(text))
    requests = select(predictions.c.request_id, predictions.c.position).where(predictions.c.text_hash == name)
    said = 0
    for request_id, position in connection.execute(requests).all():
        about = (feedback.c.request_id == request_id) & (feedback.c.position == position)
        said += connection.execute(delete(feedback).where(about)).rowcount
    said += connection.execute(delete(feedback).where(feedback.c.text_hash == name)).rowcount
    return connection.execute(delete(predictions).where(predictions.c.text_hash == name)).rowcount, said


def describe(connection: Connection) -> str:
    """One line on what is there."""
    columns = (func.count(), func.min(predictions.c.time), func.max(predictions.c.time), func.count(predictions.c.text))
    rows, first, last, texts = connection.execute(select(*columns).select_from(predictions)).one()
    said = connection.scalar(select(func.count()).select_from(feedback))
    span = f" from {_day(first)} to {_day(last)}, {texts:,} with their text" if rows else ""
    return f"log: {rows:,} predictions{span}; {said:,} feedback"


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


if __name__ == "__main__":
    run_command(main)

"""Export feedback as labelled comments with their provenance.

commentwise feedback export comments.jsonl
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from pydantic_settings import CliPositionalArg

from commentwise.errors import run_command
from commentwise.fileio import write_text
from commentwise.models.prediction_log import opened
from commentwise.monitoring.settings import LogSettings, read
from commentwise.monitoring.signals.human_labels import read_feedback, settle


class FeedbackCommand(LogSettings):
    """Write feedback as labelled comments, one JSON object per line."""

    action: CliPositionalArg[Literal["export"]]
    out: CliPositionalArg[Path] = Field(description="the .jsonl file to write; conflicts go to OUT-conflicts.jsonl")


def main() -> None:
    """Export the feedback."""
    settings = read(FeedbackCommand, "feedback")
    with opened(settings.prediction_log) as connection:
        settled = settle(read_feedback(connection))
    write_lines(settings.out, settled.comments)
    if settled.conflicts:
        write_lines(settings.out.with_name(f"{settings.out.stem}-conflicts.jsonl"), settled.conflicts)
    print(f"feedback: {settled} -> {settings.out}")


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write one JSON object per line, atomically."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


if __name__ == "__main__":
    run_command(main)

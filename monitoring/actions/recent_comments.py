"""The labelled comments of a retraining: those of the current split, and recent ones from feedback and files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from commentwise.comments.files import Source
from commentwise.comments.formats.rows import Row, as_text, cell_text
from commentwise.comments.normalize import normalize
from commentwise.comments.table import COLUMNS, EXTRA_COLUMNS
from commentwise.comments.traits import text_hash
from commentwise.errors import CommentwiseError
from commentwise.models.prediction_log import opened
from commentwise.monitoring.project import MonitoredProject
from commentwise.monitoring.signals.human_labels import read_feedback, settle
from commentwise.training.project import PARTS

TEST_SHARE, VALIDATION_SHARE = 0.35, 0.15
"""Parts of the recent comments. The test part is large, since the gate must detect the gain on it."""
MIN_RECENT = 40
FEEDBACK = "feedback"
"""The source of comments that were labelled by feedback."""

Comment = dict[str, Any]
ALL_COLUMNS = (*COLUMNS, *EXTRA_COLUMNS)


def recent_comments(
    project: MonitoredProject, prediction_log: str, files: Sequence[Path], labels: Sequence[str]
) -> list[Comment]:
    """Collect the labelled comments that the current split does not contain yet.

    They come from the feedback in the log and from files. Comments with a label that is not among `labels` are
    left out. Raises CommentwiseError when fewer than MIN_RECENT remain.
    """
    with opened(prediction_log) as connection:
        settled = settle(read_feedback(connection))
    print(f"retrain: feedback: {settled}", flush=True)
    given = [{**row, "source": FEEDBACK} for row in settled.comments]
    given += [{**row, "source": row.get("source") or path.name} for path in files for row in labelled_rows(path)]
    known = {text_hash(normalize(text)) for text in current_split(project)["text"]}
    recent: dict[str, Comment] = {}
    for row in given:
        digest = text_hash(normalize(row["text"]))
        if digest not in known and row["label"] in labels:
            recent.setdefault(digest, {**row, "comment_id": f"recent-{digest[:16]}"})
    if unknown := sum(row["label"] not in labels for row in given):
        print(f"retrain: {unknown:,} left out because their label is not one of {', '.join(labels)}", flush=True)
    if len(recent) < MIN_RECENT:
        raise CommentwiseError(
            f"{len(recent)} labelled comments are new and a retraining needs {MIN_RECENT}: collect feedback, or give files with --also"
        )
    return [recent[digest] for digest in sorted(recent)]


def current_split(project: MonitoredProject) -> pd.DataFrame:
    """The comments that the pipeline's last run trained and tested on, with their parts."""
    table = pd.concat([pd.read_parquet(project.part(part)).assign(part=part) for part in PARTS])
    return table[[column for column in ALL_COLUMNS if column in table]]


def as_source(split: pd.DataFrame, base: str, recent: Sequence[Comment]) -> str:
    """The comments of the current split and the recent ones, with their parts, as JSON lines for ingest.

    The former get the source `base` unless they have one, so that the data themselves tell what they were made from.
    Values are written as they are: ingest reads times in several forms, and warns of those that it cannot read.
    """
    rows = (
        {**{column: row[column] for column in ALL_COLUMNS if column in row}, "part": part_of(row["text"])}
        for row in recent
    )
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    sources = split["source"].fillna(base) if "source" in split else base
    return split.assign(source=sources).to_json(
        orient="records", lines=True, force_ascii=False, date_format="iso"
    ) + "".join(lines)


def part_of(text: str) -> str:
    """The part of a recent comment. It depends on the text alone, so it is the same in every retraining."""
    position = int(text_hash(normalize(text))[:8], 16) / 2**32
    return "test" if position < TEST_SHARE else "validation" if position < TEST_SHARE + VALIDATION_SHARE else "train"


def labelled_rows(path: Path) -> list[Comment]:
    """Read a file with columns text and label, in any format that training reads.

    Raises CommentwiseError naming the first row that is not a labelled comment.
    """
    with Source(str(path)).opened() as table:
        return [_labelled(row) for row in table.rows]


def _labelled(row: Row) -> Comment:
    place = f"--also {row.file}, row {row.number}"
    if row.reason:
        raise CommentwiseError(f"{place} cannot be read ({row.reason}): fix it or delete it")
    for name, read in (("text", cell_text), ("label", as_text)):
        try:
            row.values[name] = read(row.values.get(name))
        except ValueError as error:
            raise CommentwiseError(f"{place}: column {name!r} {error}: both text and label must be texts") from None
        if row.values[name] is None:
            raise CommentwiseError(f"{place} has no {name}: give it one, or delete it")
    return row.values

"""Stage ingest: read the source named in params.yaml into the comments table.

Unusable rows are set aside in a reject file with their row number and the reason.
"""

import hashlib
from collections import Counter
from typing import Any

import pandas as pd

from commentwise.comments.table import COLUMNS, comments_schema, split_rejects, write_rejects, write_table
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import atomic_file
from commentwise.training.data.sources import Row, read_rows, source_name
from commentwise.training.project import Project
from commentwise.training.settings import Settings, load_settings


def main() -> None:
    """Ingest the project's source."""
    project = Project()
    settings = load_settings(project.params)
    table, rejects = ingest(project, settings)
    # Both files or neither, so that the rejects always belong to the table.
    with atomic_file(project.raw) as table_file, atomic_file(project.raw_rejects) as rejects_file:
        write_table(table, table_file)
        write_rejects(rejects, rejects_file)
    unlabelled = int(table["label"].isna().sum())
    print(
        f"ingest: {len(table):,} comments from {source_name(settings.data)}, {unlabelled:,} of them unlabelled; {len(rejects):,} rows set aside in {project.raw_rejects}"
    )


def ingest(project: Project, settings: Settings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the source; return the comments table and the rejects (columns row, reason, text).

    Raises CommentwiseError when the source is unreadable or empty, lacks a column, contains an unknown label, or has
    more bad rows than `data.max_rejected` allows.
    """
    data = settings.data
    rows = list(read_rows(data, project.root))
    if not rows:
        raise CommentwiseError(f"{source_name(data)} has no rows: set data.path to a file with comments")
    table = _to_table(rows, settings)
    _check_labels(table, settings)
    bad_times = _parse_times(table)
    good, rejects = split_rejects(table, comments_schema(settings.labels, data.max_characters), bad_times)
    if len(rejects) > data.max_rejected * len(table):
        first = "; ".join(
            f"row {row}: {reason}" for row, reason in zip(rejects["row"][:3], rejects["reason"][:3], strict=True)
        )
        raise CommentwiseError(
            f"{source_name(data)}: {len(rejects)} of {len(table)} rows are bad, more than data.max_rejected = {data.max_rejected:g} allows ({first}): "
            "fix the rows, or raise data.max_rejected to set them aside"
        )
    return good.reset_index(drop=True), rejects


def _to_table(rows: list[Row], settings: Settings) -> pd.DataFrame:
    """The comments table, indexed by row number in the source, from 1."""
    names = settings.data.columns
    present = set().union(*(row.keys() for row in rows))
    for column in ("text", "label"):
        name = getattr(names, column)
        if name not in present:
            raise CommentwiseError(
                f"{source_name(settings.data)} has no column {name!r} (it has {', '.join(map(repr, sorted(map(str, present)))) or 'none'}): "
                f"set data.columns.{column}"
            )
    index = pd.RangeIndex(1, len(rows) + 1)
    columns = {
        column: pd.Series([_to_text(row.get(getattr(names, column))) for row in rows], index=index, dtype="str")
        for column in COLUMNS
    }
    table = pd.DataFrame(columns)
    table["label"] = (
        table["label"].str.strip().replace("", None).map(lambda label: settings.data.label_map.get(label, label))
    )
    table["label"] = table["label"].astype("str")
    table["comment_id"] = table["comment_id"].fillna(_content_ids(table["text"]))
    return table


def _parse_times(table: pd.DataFrame) -> dict[int, str]:
    """Parse `published_at` in place; return the reason for each row where that fails."""
    written = table["published_at"]
    times = pd.to_datetime(written, utc=True, format="ISO8601", errors="coerce")
    table["published_at"] = times.astype(pd.DatetimeTZDtype("us", "UTC"))
    return dict.fromkeys(table.index[times.isna() & written.notna()].tolist(), "published_at is not an ISO 8601 time")


def _to_text(value: Any) -> str | None:
    if value is None or value != value or value == "":
        return None
    return str(value).encode("utf-8", "replace").decode()  # JSON can contain lone surrogates, UTF-8 cannot


def _content_ids(texts: pd.Series) -> pd.Series:
    """Ids for rows without one: a hash of the text and of its occurrence number among equal texts."""
    seen: Counter[str] = Counter()
    ids = []
    for text in texts.fillna(""):
        ids.append(hashlib.sha256(f"{seen[text]}\0{text}".encode()).hexdigest()[:16])
        seen[text] += 1
    return pd.Series(ids, index=texts.index, dtype="str")


def _check_labels(table: pd.DataFrame, settings: Settings) -> None:
    # An unknown label is an error in the settings. Setting its rows aside would hide it.
    unknown = table["label"][table["label"].notna() & ~table["label"].isin(settings.labels)]
    if len(unknown):
        raise CommentwiseError(
            f"{source_name(settings.data)}, row {unknown.index[0]}: unknown label {unknown.iloc[0]!r} ({len(unknown)} such rows); "
            f"known are {settings.labels}: extend `labels`, or map it with data.label_map"
        )


if __name__ == "__main__":
    run_command(main)

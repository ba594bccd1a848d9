"""Stage ingest: read the source named in params.yaml into the comments table.

Unusable rows are set aside in a reject file with their row number and the reason. Only text, label and part decide
whether a row is usable: an unreadable value in another column is left empty, with one warning per column.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pandas as pd

from commentwise.comments.formats.rows import as_text, cell_text
from commentwise.comments.labels import LabelReader, label_text
from commentwise.comments.table import (
    COLUMNS,
    EXTRA_COLUMNS,
    comments_schema,
    split_rejects,
    summarize_rejects,
    write_rejects,
    write_table,
)
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import atomic_file
from commentwise.training.data.cells import cell_count, cell_time
from commentwise.training.data.ids import unique_ids
from commentwise.training.data.parts import part_of_split, unknown_split
from commentwise.training.data.sources import Row, UnreadableRow, read_rows, source_name
from commentwise.training.data.times import parse_times
from commentwise.training.project import Project
from commentwise.training.settings import Settings, load_settings

HEADER_AGAIN = "the header again"

T = TypeVar("T")


@dataclass(frozen=True)
class Ingested:
    """The rows of a source: those in `table`, and the `rejects` (columns row, reason, text)."""

    table: pd.DataFrame
    rejects: pd.DataFrame
    warnings: list[str]


def main() -> None:
    """Ingest the project's source."""
    project = Project()
    settings = load_settings(project.params)
    ingested = ingest(project, settings)
    table, rejects = ingested.table, ingested.rejects
    # Both files or neither, so that the rejects always belong to the table.
    with atomic_file(project.raw) as table_file, atomic_file(project.raw_rejects) as rejects_file:
        write_table(table, table_file)
        write_rejects(rejects, rejects_file)
    for warning in ingested.warnings:
        print(f"warning: {source_name(settings.data)}, {warning}", file=sys.stderr)
    unlabelled = int(table["label"].isna().sum())
    print(
        f"ingest: {len(table) + len(rejects):,} rows from {source_name(settings.data)}: {len(table) - unlabelled:,} labelled comments, "
        f"{unlabelled:,} unlabelled, {summarize_rejects(rejects, project.raw_rejects)}"
    )


def ingest(project: Project, settings: Settings) -> Ingested:
    """Read the source into the comments table.

    Raises CommentwiseError when the source is unreadable or empty, lacks a column, contains an unknown label or part,
    or has more bad rows than `data.max_rejected` allows.
    """
    data = settings.data
    rows = list(read_rows(data, project.root))
    if not rows:
        raise CommentwiseError(f"{source_name(data)} has no rows: set data.path to a file with comments")
    if all(isinstance(row, UnreadableRow) for row in rows):
        raise CommentwiseError(
            f"{source_name(data)}: none of its {len(rows)} rows can be read (row 1: {getattr(rows[0], 'reason', '')}): fix it, "
            "or say how it is written with data.format, data.encoding or data.delimiter"
        )
    table, reasons, warnings = _Reading(rows, settings).table()
    good, rejects = split_rejects(table, comments_schema(settings.labels, data.max_characters), reasons)
    too_many = len(rejects) > data.max_rejected * len(table)
    if too_many or good.empty:
        limit = f"more than data.max_rejected = {data.max_rejected:g} allows" if too_many else "so none is left"
        way_out = ", or raise data.max_rejected to set them aside" if len(rejects) < len(table) else ""
        first = "; ".join(
            f"row {row}: {reason}" for row, reason in zip(rejects["row"][:3], rejects["reason"][:3], strict=True)
        )
        raise CommentwiseError(
            f"{source_name(data)}: {len(rejects)} of {len(table)} rows are bad, {limit} ({first}): fix the rows{way_out}"
        )
    return Ingested(good.reset_index(drop=True), rejects, warnings)


class _Reading:
    """The columns of a source's rows, numbered from 1, and the problems found so far."""

    def __init__(self, rows: Sequence[Row], settings: Settings) -> None:
        self._rows = rows
        self._settings = settings
        self._names = settings.data.columns
        self._present = set().union(*(row.keys() for row in rows))
        self._reasons = {number: row.reason for number, row in enumerate(rows, 1) if isinstance(row, UnreadableRow)}
        self._warnings: list[str] = []

    def table(self) -> tuple[pd.DataFrame, dict[int, str], list[str]]:
        """The comments table, indexed by row number; the reason for each row that is known to be bad; warnings."""
        self._require("text", *(["label"] if self._names.label else []))
        self._find_headers()
        texts = self._required("text")
        for number, row in enumerate(self._rows, start=1):
            if isinstance(row, UnreadableRow):
                texts[number - 1] = row.raw  # for the reject file
        columns: dict[str, Any] = {"comment_id": self._ids(texts), "text": texts}
        columns["part"], unlabelled = self._parts()
        columns["label"] = self._labels(unlabelled)
        for name in (*COLUMNS, *EXTRA_COLUMNS):
            if name not in columns:
                columns[name] = self._optional(name)
        index = pd.RangeIndex(1, len(self._rows) + 1)
        kept = [*COLUMNS, *(name for name in EXTRA_COLUMNS if columns[name].notna().any())]
        series = {name: pd.Series(columns[name]) for name in kept}
        table = pd.DataFrame(
            {
                name: column if name in ("published_at", "fetched_at", "like_count") else column.astype("str")
                for name, column in series.items()
            }
        )
        return table.set_axis(index), self._reasons, self._warnings

    def _source_name(self, column: str) -> str | None:
        name: str | None = getattr(self._names, column)
        return name

    def _require(self, *columns: str) -> None:
        for column in columns:
            if (name := self._source_name(column)) not in self._present:
                raise CommentwiseError(
                    f"{source_name(self._settings.data)} has no column {name!r} (it has {', '.join(map(repr, sorted(map(str, self._present)))) or 'none'}): "
                    f"set data.columns.{column}"
                )

    def _find_headers(self) -> None:
        """Set aside rows that repeat the header, as in files that were joined."""
        names = {name for name in (self._names.text, self._names.label) if name}
        for number, row in enumerate(self._rows, start=1):
            if all(row.get(name) == name for name in names):
                self._reasons[number] = HEADER_AGAIN

    def _values(self, column: str) -> list[Any]:
        name = self._source_name(column)
        if name is None or name not in self._present:
            return [None] * len(self._rows)
        return [row.get(name) for row in self._rows]

    def _read(self, column: str, convert: Callable[[Any], T | None]) -> tuple[list[T | None], dict[int, str]]:
        """The values of a column, null where that fails, and the problem of each row where it does."""
        values: list[T | None] = []
        problems: dict[int, str] = {}
        for number, value in enumerate(self._values(column), start=1):
            try:
                values.append(convert(value))
            except ValueError as error:
                values.append(None)
                problems[number] = str(error)
        return values, problems

    def _required(self, column: str) -> list[str | None]:
        """The texts of a column. A row with another value in it is bad; a column with other values only is refused."""
        values, problems = self._read(column, cell_text if column == "text" else as_text)
        name = self._source_name(column)
        if problems and len(problems) == len(values) - len(self._reasons):
            raise CommentwiseError(
                f"{source_name(self._settings.data)}: column {name!r} {next(iter(problems.values()))}: set data.columns.{column} to a column of texts"
            )
        for number, problem in problems.items():
            self._reasons.setdefault(number, f"column {name!r} {problem}")
        return values

    def _ids(self, texts: Sequence[str | None]) -> list[str]:
        ids = unique_ids(self._values("comment_id"), texts)
        if ids.note:
            self._warnings.append(
                f"column {self._source_name('comment_id')!r}: {ids.note}; data.columns.comment_id can name another column, or be null"
            )
        return ids.values

    def _parts(self) -> tuple[list[str | None], set[int]]:
        """The part of each row, and the rows of unlabelled splits."""
        splits = self._settings.data.splits
        unknown: dict[int, str] = {}
        unlabelled = set()
        parts: list[str | None] = []
        for number, name in enumerate(self._required("part"), start=1):
            part = part_of_split(name, splits) if name and name.strip() else None
            if part is None and name and name.strip() and number not in self._reasons:
                unknown[number] = name
            if part == "unlabelled":
                unlabelled.add(number)
                part = None
            parts.append(part)
        # As with labels, an error in the settings. The rows could be those of a test part.
        if unknown:
            row, name = next(iter(unknown.items()))
            raise CommentwiseError(
                f"{source_name(self._settings.data)}, row {row}: unknown part {unknown_split(name)} "
                f"({len(unknown)} such rows), or set data.columns.part to null to ignore the column"
            )
        return parts, unlabelled

    def _labels(self, unlabelled: set[int]) -> list[str | None]:
        settings = self._settings
        read = LabelReader(settings.labels, settings.data.label_map)
        self._required("label")  # refuses lists and objects
        labels: list[str | None] = []
        unknown: dict[int, str] = {}
        for number, value in enumerate(self._values("label"), start=1):
            if number in self._reasons or number in unlabelled:
                labels.append(None)
                continue
            value = bytes(value).decode() if isinstance(value, bytes) else value
            text = label_text(value)
            label = None if text is None else read(value)
            labels.append(label)
            if text is not None and label is None:
                unknown[number] = text
        # An unknown label is an error in the settings. Setting its rows aside would hide it.
        if unknown:
            row, text = next(iter(unknown.items()))
            raise CommentwiseError(
                f"{source_name(settings.data)}, row {row}: unknown label {text!r} ({len(unknown)} such rows); "
                f"known are {settings.labels}: extend `labels`, or map it with data.label_map"
            )
        return labels

    def _optional(self, column: str) -> pd.Series:
        """An optional column, null where its value cannot be read. One warning names the column and the way out."""
        way_out = f"fix them, or set data.columns.{column} to null"
        if column in ("published_at", "fetched_at"):
            written, problems = self._read(column, cell_time)
            series = parse_times(written, self._settings.data.time_format)
            failed = [row + 1 for row, value in enumerate(written) if value is not None and pd.isna(series[row])]
            problems |= dict.fromkeys(
                failed, f"holds no time in the form data.time_format = {self._settings.data.time_format}"
            )
            way_out = 'set data.time_format, e.g. to "%m/%d/%Y %H:%M"'
        elif column == "like_count":
            counts, problems = self._read(column, cell_count)
            series = pd.Series(counts, dtype="Int64")
        else:
            texts, problems = self._read(column, as_text)
            series = pd.Series(texts, dtype="object")
        if problems := {row: problem for row, problem in problems.items() if row not in self._reasons}:
            row = min(problems)
            self._warnings.append(
                f"column {self._source_name(column)!r}: {len(problems):,} of {len(self._rows):,} values are left empty; the first, "
                f"{self._values(column)[row - 1]!r:.80} in row {row}, {problems[row]}: {way_out}"
            )
        return series


if __name__ == "__main__":
    run_command(main)

"""The comments table: its schema, and the separation of rows that violate it.

Columns: comment_id, text, label (null if unlabelled), and optionally video_id, published_at (UTC), part (null if the
source has no split of its own), language (BCP 47), parent_id (of the comment that this one answers), like_count, author
(a salted hash), fetched_at (UTC) and source. `text` and `comment_id` are never null.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from commentwise.errors import CommentwiseError

COLUMNS = ("comment_id", "video_id", "published_at", "text", "label", "part")
"""The columns that ingest always writes."""
EXTRA_COLUMNS = ("language", "parent_id", "like_count", "author", "fetched_at", "source")
"""The columns that ingest writes if the source has values in them."""
PARTS = ("train", "validation", "test")
MAX_REASONS = 5
"""Reasons that `summarize_rejects` names at most."""


def comments_schema(labels: Sequence[str], max_characters: int) -> pa.DataFrameSchema:
    """The schema of the table. The name of each check is the reason written to the reject file."""

    def column(*checks: pa.Check, nullable: bool = True) -> pa.Column:
        return pa.Column("str", list(checks), nullable=nullable)

    def optional(*checks: pa.Check, dtype: str | pd.DatetimeTZDtype = "str") -> pa.Column:
        return pa.Column(dtype, list(checks), nullable=True, required=False)

    time = pd.DatetimeTZDtype("us", "UTC")

    return pa.DataFrameSchema(
        {
            "comment_id": column(
                pa.Check(lambda ids: ids.str.strip() != "", error="comment_id is blank"),
                pa.Check(lambda ids: ~ids.duplicated(), error="comment_id is in an earlier row"),
                nullable=False,
            ),
            "video_id": optional(),
            "published_at": optional(dtype=time),
            "text": column(
                pa.Check(lambda texts: texts.str.strip() != "", error="text is blank"),
                pa.Check(lambda texts: ~texts.str.contains("\x00", regex=False), error="text holds a NUL character"),
                pa.Check(
                    lambda texts: texts.str.len() <= max_characters,
                    error=f"text is longer than data.max_characters = {max_characters}",
                ),
                nullable=False,
            ),
            "label": column(pa.Check.isin(labels, error="label is not among the labels")),
            "part": optional(pa.Check.isin(PARTS, error=f"part is none of {', '.join(PARTS)}")),
            "language": optional(),
            "parent_id": optional(),
            "like_count": optional(dtype="Int64"),
            "author": optional(),
            "fetched_at": optional(dtype=time),
            "source": optional(),
        },
        strict=True,
    )


def split_rejects(
    table: pd.DataFrame, schema: pa.DataFrameSchema, known: Mapping[int, str] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows that fit the schema, and the rejects: row (the table's index), reason, text.

    `known` maps rows that were rejected before to the reason. Raises CommentwiseError if the table as a whole does not
    fit (a column is missing or has another type).
    """
    reasons = dict(known or {})
    try:
        return schema.validate(table, lazy=True).drop(index=list(reasons)), _rejects(table, reasons)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
    whole = cases[cases["index"].isna()]
    if len(whole):
        first = whole.iloc[0]
        raise CommentwiseError(
            f"comments table: column {first['column'] or first['failure_case']!r} fails {first['check']}"
        )
    for index, column, check in zip(cases["index"], cases["column"], cases["check"], strict=True):
        reasons.setdefault(int(index), f"{column} is missing" if check == "not_nullable" else str(check))
    return schema.validate(table.drop(index=list(reasons)), lazy=True), _rejects(table, reasons)


def _rejects(table: pd.DataFrame, reasons: dict[int, str]) -> pd.DataFrame:
    rows = sorted(reasons)
    return pd.DataFrame(
        {
            "row": rows,
            "reason": [reasons[row] for row in rows],
            "text": table["text"].loc[rows].fillna("").str[:200].tolist(),
        }
    )


def summarize_rejects(rejects: pd.DataFrame, path: Path) -> str:
    """A phrase for a stage's line: how many rows are in the reject file `path`, and why. The counts add up."""
    if rejects.empty:
        return "0 rows set aside"
    kinds = rejects["reason"].str.partition(":")[0]  # without details
    reasons = rejects.groupby(kinds, sort=False)["row"].agg(["size", "first"]).sort_values("size", ascending=False)
    named = reasons if len(reasons) <= MAX_REASONS else reasons.head(MAX_REASONS - 1)
    phrases = [
        f"{int(size):,} {reason} ({'first ' if size > 1 else ''}row {row})" for reason, size, row in named.itertuples()
    ]
    if other := len(rejects) - int(named["size"].sum()):
        phrases.append(f"{other:,} for other reasons")
    return f"{len(rejects):,} rows set aside in {path}: {', '.join(phrases)}"


def read_comments(path: Path, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Read a comments table written by an earlier stage. Raises CommentwiseError if it does not fit the schema."""
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise CommentwiseError(f"{path} is missing: run `commentwise run`, or restore it with `dvc checkout`") from None
    except (OSError, ValueError) as error:
        raise CommentwiseError(
            f"{path} is not readable Parquet ({str(error).splitlines()[0]}): restore it with `dvc checkout`"
        ) from None
    good, rejects = split_rejects(table, schema)
    if len(rejects):
        raise CommentwiseError(f"{path}, row {rejects['row'][0]}: {rejects['reason'][0]}: run `commentwise run`")
    return good


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write Parquet without the index, so that equal tables give equal files."""
    table.to_parquet(path, index=False)


def write_rejects(rejects: pd.DataFrame, path: Path) -> None:
    """Write the reject file: row, reason and the first 200 characters of the text."""
    rejects.to_csv(path, index=False)

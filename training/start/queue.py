"""The label queue: a CSV file for a spreadsheet with the comments to label first, and an empty column for the labels."""

import codecs
import csv
import io
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commentwise.comments.copies import copy_key
from commentwise.comments.files import Options, Source
from commentwise.comments.formats.encodings import likeliest
from commentwise.comments.labels import label_text
from commentwise.comments.normalize import normalize
from commentwise.errors import CommentwiseError
from commentwise.fileio import atomic_file
from commentwise.training.start.clusters import Clusters, nearest

QUEUE = "data/label-queue.csv"
COLUMNS = ("comment_id", "text", "label", "cluster", "suggestion", "confidence")
ROWS = 200
"""Comments to label; a few hours of work."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Row = dict[str, Any]


def is_queue(columns: Sequence[str]) -> bool:
    """True if these are the columns of a label queue; a user may have deleted or added others."""
    return {"text", "label", "cluster"} <= set(columns)


def diverse(clusters: Clusters, count: int, seed: int) -> list[int]:
    """Typical comments of all kinds: in turns, one of each cluster, largest first.

    Each cluster is divided into as many clusters as it gets rows, by its size, and gives the comment nearest to the
    centre of each (as TypiClust, Hacohen et al. 2022, without its density). There may be a few more rows than `count`.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    chosen: list[list[int]] = []
    with threadpool_limits(1):
        for number in range(len(clusters.words)):
            members = clusters.members(number)
            share = min(len(members), max(1, round(count * len(members) / len(clusters.numbers))))
            means = KMeans(share, n_init=1, random_state=seed).fit(clusters.vectors[members])
            parts = [members[means.labels_ == part] for part in np.argsort(-np.bincount(means.labels_), kind="stable")]
            chosen.append([nearest(clusters.vectors, part, clusters.vectors[part].mean(axis=0))[0] for part in parts if len(part)])  # fmt: skip
    return [index for turn in zip_longest(*chosen) for index in turn if index is not None]


def in_order(
    clusters: Clusters, probabilities: NDArray[np.float64] | None, left_out: set[int], seed: int, count: int = ROWS
) -> list[int]:
    """The comments to label, in order: half of them of all kinds, then those that the model is least sure of.

    Without `probabilities`, of shape (comments, labels), all are of all kinds. `left_out` are labelled already.
    """
    first = count if probabilities is None else count // 2
    order = [index for index in diverse(clusters, first, seed) if index not in left_out][:first]
    if probabilities is not None:
        taken = {*order, *left_out}
        unsure = np.argsort(probabilities.max(axis=1), kind="stable")
        order += [int(index) for index in unsure if int(index) not in taken][: count - len(order)]
    return order


def labelled_rows(path: Path) -> list[Row]:
    """The rows of a queue in which a label was filled in; none if there is no queue.

    Raises CommentwiseError if it cannot be read whole, so that it is not overwritten.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError:
        encoding = likeliest(content)
    else:
        encoding = "utf-8"
    with Source(str(path), Options(encoding=encoding)).opened() as table:
        rows = list(table.rows)
        columns = table.columns
    if (bad := next((row for row in rows if row.reason), None)) or not is_queue(columns):
        reason = f"row {bad.number}: {bad.reason}" if bad else f"it has the columns {', '.join(map(repr, columns))}"
        raise CommentwiseError(
            f"{path} cannot be read as a label queue ({reason}): fix it, or move it away for a new one"
        )
    return [row.values for row in rows if label_text(row.values["label"])]


def key(text: str) -> str:
    """The key by which a text in a queue is matched with the comment that it was written from."""
    return copy_key(normalize(unguarded(text)))


def guarded(text: str) -> str:
    """The text with an apostrophe in front if a spreadsheet would take it for a formula, as OWASP advises.

    >>> guarded("=HYPERLINK(1)"), guarded("good")
    ("'=HYPERLINK(1)", 'good')
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def unguarded(text: str) -> str:
    """The text without the apostrophe of `guarded`."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(_FORMULA) else text


def write_queue(path: Path, kept: Sequence[Row], rows: Sequence[Row]) -> None:
    """Write the labelled rows that are kept, then those to label; in UTF-8 with a byte-order mark, for spreadsheets."""
    extra = dict.fromkeys(name for row in kept for name in row if name not in COLUMNS)
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, [*COLUMNS, *extra], restval="")
    writer.writeheader()
    for row in (*kept, *rows):
        writer.writerow({name: guarded(value) if isinstance(value, str) else value for name, value in row.items()})
    with atomic_file(path) as temporary:
        temporary.write_bytes(codecs.BOM_UTF8 + stream.getvalue().encode())

"""The part of `commentwise train` for comments without labels.

It finds clusters of the comments, has a model of other comments suggest labels, and writes a queue of comments to label.
"""

import csv
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.text import Text

from commentwise.comments.copies import copy_key
from commentwise.comments.labels import folded_label
from commentwise.comments.language import language_of
from commentwise.comments.normalize import normalize
from commentwise.comments.table import summarize_rejects, write_rejects
from commentwise.fileio import atomic_file
from commentwise.models.names import load
from commentwise.training.data.ingest import ingest
from commentwise.training.params import read_params, set_values
from commentwise.training.project import Project
from commentwise.training.settings import Settings, parse_settings
from commentwise.training.start import NONE, SAMPLE
from commentwise.training.start.clusters import Clusters, cluster
from commentwise.training.start.queue import QUEUE, Row, guarded, in_order, key, labelled_rows, write_queue
from commentwise.training.start.sample import sample_bundle

CLUSTERS = "reports/clusters.csv"
MAX_COMMENTS = 20_000
"""More comments do not make better clusters; they take longer."""
LANGUAGES = 300
"""Comments whose language is told."""
WIDTH = 79


@dataclass(frozen=True)
class Suggestions:
    """Labels that a model of other comments gives."""

    labels: list[str]
    probabilities: NDArray[np.float64]
    """Shape (comments, labels)."""

    def row(self, index: int) -> Row:
        """The columns of a comment in the queue."""
        best = int(self.probabilities[index].argmax())
        return {"suggestion": self.labels[best], "confidence": f"{self.probabilities[index, best]:.2f}"}


def start(project: Project, values: dict[str, Any], model: str) -> None:
    """Print clusters of the comments that `values` (settings by dotted name) point to, and write the label queue.

    `model` is SAMPLE, NONE or the name of a bundle. params.yaml is not changed. Raises CommentwiseError if the comments or
    the bundle cannot be read, or there are too few.
    """
    content = read_params(project.params)
    set_values(content, values | {"data.columns.label": None})
    settings = parse_settings(content, project.params)
    queue = project.root / QUEUE
    kept = labelled_rows(queue)
    comments = _comments(project, settings)
    clusters = cluster(comments["normal"].tolist(), settings.seed)
    _show_clusters(project.root / CLUSTERS, clusters, comments)
    bundle = None if model == NONE else sample_bundle(project) if model == SAMPLE else model
    suggestions = _suggestions(bundle, model, comments["normal"].tolist()) if bundle else None
    left_out = _labelled(kept, comments)
    order = in_order(clusters, suggestions.probabilities if suggestions else None, left_out, settings.seed)
    rows = [
        {"comment_id": comment_id, "text": text, "cluster": int(clusters.numbers[index]) + 1}
        | (suggestions.row(index) if suggestions else {})
        for index in order
        for comment_id, text in [comments[["comment_id", "text"]].iloc[index]]
    ]
    write_queue(queue, kept, rows)
    _show_queue(kept, len(rows), bundle)


def _comments(project: Project, settings: Settings) -> pd.DataFrame:
    """Different comments, with the column normal for their normalised texts; at most MAX_COMMENTS, drawn by the seed."""
    ingested = ingest(project, settings)
    rejects = project.build / "unlabelled-rejects.csv"
    rejects.parent.mkdir(exist_ok=True)
    write_rejects(ingested.rejects, rejects)
    table = ingested.table
    table["normal"] = table["text"].map(normalize)
    table = table[table["normal"] != ""]
    different = table[~table["normal"].map(copy_key).duplicated()]
    print(
        f"comments: {len(ingested.table) + len(ingested.rejects):,} rows: {len(different):,} different comments, {len(table) - len(different):,} copies, "
        f"{len(ingested.table) - len(table):,} empty after normalisation, {summarize_rejects(ingested.rejects, rejects)}"
    )
    if len(different) > MAX_COMMENTS:
        print(f"comments: {MAX_COMMENTS:,} of them are used, drawn at random")
        different = different.sample(MAX_COMMENTS, random_state=settings.seed)
    return different.reset_index(drop=True)


def _labelled(kept: Sequence[Row], comments: pd.DataFrame) -> set[int]:
    """The comments that are labelled, by id or text: a spreadsheet may have changed one of them."""
    ids, keys = {str(row.get("comment_id")) for row in kept}, {key(str(row["text"])) for row in kept}
    known = comments["comment_id"].isin(ids) | comments["normal"].map(copy_key).isin(keys)
    return set(np.flatnonzero(known).tolist())


def _show_clusters(path: Path, clusters: Clusters, comments: pd.DataFrame) -> None:
    # Normalised texts have no control characters, which a terminal would obey.
    texts, shown = comments["text"].tolist(), comments["normal"].tolist()
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["cluster", "comments", "words", "central_1", "central_2", "central_3"])
        for number, (words, central) in enumerate(zip(clusters.words, clusters.central, strict=True)):
            size = len(clusters.members(number))
            writer.writerow([number + 1, size, " ".join(words), *(guarded(texts[index]) for index in central)])
            print(_line(f"{number + 1:3}. {size:,} comments: {', '.join(words)}"))
            for index in central:
                print(_line(f"       {shown[index]}"))
    print(f"clusters: {len(clusters.words)}, with their telling words and central comments, in {CLUSTERS}")


def _line(text: str) -> str:
    """The text, cut to the width of the screen: some letters take two columns."""
    line = Text(text)
    line.truncate(WIDTH, overflow="ellipsis")
    return line.plain


def _suggestions(bundle: str | Path, model: str, texts: Sequence[str]) -> Suggestions:
    classifier = load(bundle)
    labels = classifier.manifest.labels
    print(f"suggestions: by {bundle}")
    if model == SAMPLE:
        trained = classifier.manifest.data["rows"]["train"]
        told = [language_of(text) for text in texts[:: max(1, len(texts) // LANGUAGES)]]
        english = sum(language.startswith("en") for language in told) / len(told)
        _say(
            f"This model was trained on {trained:,} English comments in the style of YouTube, written and labelled "
            f"{', '.join(labels)} by a language model; not on yours. How often it is right on yours is unknown until you "
            f"have labelled some. It knows sentiment only: for other labels, use --model none. {english:.0%} of your "
            f"comments look English{'' if english > 0.5 else ', so its suggestions are of little use'}."
        )
    suggestions = Suggestions(labels, classifier.probabilities(texts))
    counts = Counter(labels[best] for best in suggestions.probabilities.argmax(axis=1))
    print(f"suggestions: {', '.join(f'{count:,} {label}' for label, count in counts.most_common())}")
    return suggestions


def _show_queue(kept: Sequence[Row], rows: int, bundle: str | Path | None) -> None:
    if kept:
        print(f"queue: {len(kept):,} labelled rows were kept, at the top{_agreement(kept)}")
    _say(
        f"queue: {rows:,} comments to label in {QUEUE}, "
        + ("half of them of all clusters, then those that the model is least sure of" if bundle else "of all clusters")
    )
    print("\nnext: fill in the column label (rows may stay empty), then")
    print(f"  commentwise train {QUEUE}")
    if bundle:
        print(f"until then, a server with the model that made the suggestions:\n  commentwise serve --model {bundle}")


def _agreement(kept: Sequence[Row]) -> str:
    """How often the suggestions were what the user said; empty if nothing was suggested."""
    pairs = [(row["label"], row["suggestion"]) for row in kept if row.get("suggestion")]
    same = sum(folded_label(str(label)) == folded_label(str(suggestion)) for label, suggestion in pairs)
    return f"; the suggestion was right in {same:,} of {len(pairs):,}" if pairs else ""


def _say(text: str) -> None:
    print(textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False))

"""What the stages before have written, read once for the page."""

import csv
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from commentwise.errors import CommentwiseError
from commentwise.fileio import read_json
from commentwise.models.bundle import MANIFEST
from commentwise.models.probabilities import softmax
from commentwise.training.candidate import Predictions, read_part, read_predictions
from commentwise.training.choice.evaluate import scores_of
from commentwise.training.project import Project
from commentwise.training.scores import Probabilities, confusion
from commentwise.training.settings import Settings

LENGTH_GROUPS = 4
Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Results:
    """The results of one run. Dictionaries have the content of the JSON files they are named after."""

    settings: Settings
    data: dict[str, Any]
    rejects: dict[str, dict[str, int]]
    """Rows set aside, by stage and reason."""
    selection: dict[str, Any]
    baselines: dict[str, Any]
    metrics: dict[str, dict[str, Any]]
    """The evaluation of every family, in the order of the ranking."""
    export: dict[str, Any]
    manifest: dict[str, Any]
    reliability: Rows
    """Of the winner, by confidence."""
    curves: dict[str, Rows]
    """The learning curve of every family that is trained in steps."""
    texts: list[str]
    """The test part."""
    predictions: Predictions
    """The winner's on the test part."""

    @property
    def winner(self) -> str:
        """The family that was chosen."""
        return str(self.selection["winner"])

    @property
    def test(self) -> dict[str, Any]:
        """The winner's evaluation on the test part."""
        return dict(self.metrics[self.winner]["test"])

    @property
    def probabilities(self) -> Probabilities:
        """The winner's calibrated probabilities on the test part, shape (comments, labels)."""
        return softmax(self.predictions.logits, self.metrics[self.winner]["temperature"])


def read_results(project: Project, settings: Settings) -> Results:
    """Read the results of the last run. Raises CommentwiseError if a part of them is missing, or of another split."""
    selection = read_json(project.selection)
    winner = selection["winner"]
    families = [ranked["family"] for ranked in selection["ranking"]]
    test = read_part(project.prepared, "test", settings.labels)
    predictions = read_predictions(project.winner, "test", settings.labels)
    if predictions.comment_ids != test.table["comment_id"].tolist():
        raise CommentwiseError(
            f"{project.winner} was measured on other comments than those of {project.part('test')}: run `dvc repro`"
        )
    learning = {family: _read_csv(project, family, "learning.csv") for family in families}
    return Results(
        settings=settings,
        data=read_json(project.data_report),
        rejects={
            "ingest": _reasons(pd.read_csv(project.raw_rejects)),
            "prepare": _reasons(pd.read_csv(project.prepared_rejects)),
        },
        selection=selection,
        baselines=read_json(project.baselines),
        metrics={family: read_json(project.evaluated(family)) for family in families},
        export=read_json(project.export_report),
        manifest=read_json(project.bundle / MANIFEST),
        reliability=_read_csv(project, winner, "reliability.csv"),
        curves={family: rows for family, rows in learning.items() if rows and "loss" in rows[0]},
        texts=test.texts,
        predictions=predictions,
    )


@dataclass(frozen=True)
class Slice:
    """A group of test comments with something in common."""

    kind: str
    name: str
    comments: int
    scores: dict[str, dict[str, float]]
    """As in the evaluation."""
    complete: bool
    """Whether every label occurs. If not, macro-F1 is low for that reason alone."""


def slices(results: Results) -> list[Slice]:
    """The languages with scores of their own, and groups of similar length, the shortest first."""
    languages = np.array(results.predictions.languages, dtype=np.str_)
    lengths = np.array([len(text) for text in results.texts])
    limits = np.unique(np.quantile(lengths, np.linspace(0, 1, LENGTH_GROUPS + 1)[1:], method="higher"))
    groups = [("language", name, languages == name) for name in results.test["languages"]]
    for low, high in zip([-1, *limits], limits, strict=False):
        name = f"{low + 1:,} to {high:,} characters" if low >= 0 else f"up to {high:,} characters"
        groups.append(("length", name, (lengths > low) & (lengths <= high)))
    return [_slice(results, kind, name, rows) for kind, name, rows in groups]


def _slice(results: Results, kind: str, name: str, rows: NDArray[np.bool_]) -> Slice:
    targets, labels = results.predictions.targets[rows], len(results.settings.labels)
    scores = scores_of(confusion(targets, results.predictions.predicted[rows], labels), results.settings)
    return Slice(kind, name, len(targets), scores, len(np.unique(targets)) == labels)


@dataclass(frozen=True)
class Confused:
    """Test comments of one label that got another."""

    actual: str
    predicted: str
    rows: list[int]
    """Places in the test part, the most confident prediction first."""


def errors_by_kind(results: Results) -> list[Confused]:
    """The wrong predictions on the test part by actual and predicted label, the most frequent kind first."""
    labels, predicted = results.settings.labels, results.predictions.predicted
    confidence = results.probabilities.max(axis=1)
    kinds: dict[tuple[int, int], list[int]] = {}
    for row in np.argsort(-confidence, kind="stable"):
        if (target := int(results.predictions.targets[row])) != predicted[row]:
            kinds.setdefault((target, int(predicted[row])), []).append(int(row))
    return [
        Confused(labels[target], labels[other], rows)
        for (target, other), rows in sorted(kinds.items(), key=lambda kind: (-len(kind[1]), kind[0]))
    ]


def _reasons(rejects: pd.DataFrame) -> dict[str, int]:
    counts = rejects["reason"].value_counts().to_dict()
    return {str(reason): int(count) for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))}


def _read_csv(project: Project, family: str, name: str) -> Rows:
    with (project.evaluated(family).parent / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))

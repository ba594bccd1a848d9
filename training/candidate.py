"""A candidate: the folder a training stage writes for its family, and how later stages read it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from commentwise.errors import CommentwiseError
from commentwise.fileio import read_json
from commentwise.training.project import CANDIDATES, PREPARED, part_file
from commentwise.training.scores import Labels, Probabilities, label_numbers, macro_f1

HELD_OUT = ("validation", "test")
GRAPH = "model.onnx"  # of a linear candidate
ENCODER = "model"  # folder of an encoder candidate, as transformers saves it


@dataclass(frozen=True)
class Part:
    """One part of the split in the form that models take."""

    table: pd.DataFrame
    labels: list[str]

    @property
    def texts(self) -> list[str]:
        """The normalised texts."""
        return self.table["text"].tolist()

    @property
    def true(self) -> Labels:
        """The labels' positions in `labels`, shape (rows,)."""
        return label_numbers(self.table["label"].tolist(), self.labels)


def read_part(part: str, labels: Sequence[str], folder: Path = PREPARED) -> Part:
    """Read one prepared part. Raises CommentwiseError when it is missing or holds labels that are not in `labels`."""
    path = part_file(part, folder)
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise CommentwiseError(
            f"{path} is missing: run `dvc repro prepare`, or get it back with `dvc checkout`"
        ) from None
    except (OSError, ValueError) as error:
        raise CommentwiseError(
            f"{path} is not readable Parquet ({str(error).splitlines()[0]}): get it back with `dvc checkout`"
        ) from None
    if missing := {"comment_id", "text", "label"} - set(table.columns):
        raise CommentwiseError(f"{path} has no column {sorted(missing)[0]!r}")
    if unknown := set(table["label"]) - set(labels):
        raise CommentwiseError(f"{path} holds the label {sorted(unknown)[0]!r}, which is not among {list(labels)}")
    return Part(table, list(labels))


def write_results(
    folder: Path,
    parts: dict[str, Part],
    probabilities: dict[str, Probabilities],
    facts: dict[str, Any],
    history: Iterable[dict[str, Any]],
    resources: dict[str, Any],
) -> None:
    """Write what every family leaves beside its model: predictions per held-out part, metrics, history, resources.

    `probabilities[part]` has shape (rows of the part, labels). `facts` are added to metrics.json.
    """
    metrics = dict(facts)
    for name in HELD_OUT:
        part = parts[name]
        table = part.table[["comment_id", "label"]].reset_index(drop=True)
        columns = {f"p_{label}": probabilities[name][:, number] for number, label in enumerate(part.labels)}
        table.assign(**columns).to_parquet(folder / f"{name}.parquet", index=False)
        metrics[f"{name}_macro_f1"] = macro_f1(part.true, probabilities[name].argmax(axis=1), len(part.labels))
    _write_json_lines(folder / "history.jsonl", history)
    for name, content in (("metrics.json", metrics), ("resources.json", resources)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Predictions:
    """A candidate's answers on one part."""

    comment_ids: list[str]
    true: Labels
    probabilities: Probabilities

    @property
    def predicted(self) -> Labels:
        """The most probable label's position, shape (rows,)."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)


def read_predictions(family: str, part: str, labels: Sequence[str], folder: Path = CANDIDATES) -> Predictions:
    """Read a candidate's predictions. Raises CommentwiseError when they are missing."""
    path = folder / family / f"{part}.parquet"
    if not path.is_file():
        raise CommentwiseError(f"{path} is missing: run `dvc repro train@{family}`, or get it back with `dvc checkout`")
    table = pd.read_parquet(path)
    probabilities = table[[f"p_{label}" for label in labels]].to_numpy(dtype=np.float64)
    return Predictions(table["comment_id"].tolist(), label_numbers(table["label"].tolist(), labels), probabilities)


def read_metrics(family: str, folder: Path = CANDIDATES) -> dict[str, Any]:
    """A candidate's metrics.json."""
    return dict(read_json(folder / family / "metrics.json"))


def read_history(folder: Path) -> list[dict[str, Any]]:
    """A candidate folder's history, one dict per recorded step."""
    return [json.loads(line) for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()]


def _write_json_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

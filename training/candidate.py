"""Writing and reading a candidate, the folder in which a training stage writes its family's model and predictions."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from commentwise.errors import CommentwiseError
from commentwise.fileio import read_json, write_json
from commentwise.models.probabilities import softmax
from commentwise.training.project import HELD_OUT, part_file
from commentwise.training.provenance import folder_md5
from commentwise.training.scores import Logits, Probabilities, Targets, label_indices, macro_f1

GRAPH = "model.onnx"
"""File of a candidate that is one ONNX graph."""
ENCODER = "model"
"""Folder of a candidate that is an encoder, in transformers' format."""


@dataclass(frozen=True)
class Part:
    """One part of the split, with texts and targets for a model."""

    table: pd.DataFrame
    labels: list[str]

    @property
    def texts(self) -> list[str]:
        """The normalised texts."""
        return self.table["text"].tolist()

    @property
    def targets(self) -> Targets:
        """The label indices, shape (rows,)."""
        return label_indices(self.table["label"].tolist(), self.labels)


def read_part(folder: Path, name: str, labels: Sequence[str]) -> Part:
    """Read one part of the split in `folder`.

    Raises CommentwiseError when it is missing, unreadable, or contains a label that is not in `labels`.
    """
    path = part_file(folder, name)
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
        raise CommentwiseError(f"{path} has no column {sorted(missing)[0]!r}: run `dvc repro prepare`")
    if unknown := set(table["label"]) - set(labels):
        raise CommentwiseError(
            f"{path} contains the label {sorted(unknown)[0]!r}, which is not among {list(labels)}: run `dvc repro prepare`"
        )
    return Part(table, list(labels))


def write_results(
    folder: Path,
    parts: Mapping[str, Part],
    logits: Mapping[str, Logits],
    facts: dict[str, Any],
    history: Iterable[dict[str, Any]],
) -> dict[str, Any]:
    """Write the files that every candidate has beside its model: logits on the held-out parts, metrics, history.

    `logits[part]` has shape (rows of the part, labels). Returns the content of metrics.json: `facts` and the scores.
    Nothing written here may depend on the time, so that the same inputs give the same files.
    """
    metrics = dict(facts)
    for name in HELD_OUT:
        part = parts[name]
        known = [column for column in ("comment_id", "label", "language") if column in part.table]
        table = part.table[known].reset_index(drop=True)
        columns = {f"logit_{label}": logits[name][:, index] for index, label in enumerate(part.labels)}
        table.assign(**columns).to_parquet(folder / f"{name}.parquet", index=False)
        metrics[f"{name}_macro_f1"] = macro_f1(part.targets, logits[name].argmax(axis=1), len(part.labels))
    lines = "".join(json.dumps(row) + "\n" for row in history)
    (folder / "history.jsonl").write_text(lines, encoding="utf-8")
    write_json(folder / "metrics.json", metrics)
    return metrics


@dataclass(frozen=True)
class Predictions:
    """A candidate's predictions on one part."""

    comment_ids: list[str]
    targets: Targets
    logits: Logits
    languages: list[str] = field(default_factory=list)
    """The language tag of each comment; empty for candidates trained before comments had one."""

    @property
    def probabilities(self) -> Probabilities:
        """Uncalibrated probabilities, shape (rows, labels)."""
        return softmax(self.logits)

    @property
    def predicted(self) -> Targets:
        """The predicted label indices, shape (rows,)."""
        return np.asarray(self.logits.argmax(axis=1), dtype=np.int64)


def read_predictions(candidate: Path, part: str, labels: Sequence[str]) -> Predictions:
    """Read a candidate's predictions on one part. Raises CommentwiseError when they are missing."""
    path = candidate / f"{part}.parquet"
    if not path.is_file():
        raise CommentwiseError(
            f"{path} is missing: run `dvc repro train@{candidate.name}`, or get it back with `dvc checkout`"
        )
    table = pd.read_parquet(path)
    return Predictions(
        table["comment_id"].tolist(),
        label_indices(table["label"].tolist(), labels),
        _logits(table, labels),
        table["language"].tolist() if "language" in table else [],
    )


def _logits(table: pd.DataFrame, labels: Sequence[str]) -> NDArray[np.float64]:
    columns = [f"logit_{label}" for label in labels]
    if set(columns) <= set(table.columns):
        return table[columns].to_numpy(dtype=np.float64)
    # Versions published before 0.2 have probabilities. Their logarithms are logits up to a constant in each row.
    probabilities = table[[f"p_{label}" for label in labels]].to_numpy(dtype=np.float64)
    return np.asarray(np.log(np.maximum(probabilities, 1e-12)))


def read_metrics(candidate: Path) -> dict[str, Any]:
    """A candidate's metrics.json."""
    return dict(read_json(candidate / "metrics.json"))


def read_history(candidate: Path) -> list[dict[str, Any]]:
    """A candidate's history, one dict per recorded step."""
    return [json.loads(line) for line in (candidate / "history.jsonl").read_text(encoding="utf-8").splitlines()]


def write_resources(path: Path, candidate: Path, resources: dict[str, Any]) -> None:
    """Record the time and memory that training the candidate took. `path` is outside of the pipeline's outputs."""
    write_json(path, {"candidate": folder_md5(candidate), **resources})


def read_resources(path: Path, candidate: Path) -> dict[str, Any]:
    """The time and memory that training took; empty if this candidate was trained elsewhere and restored from DVC's cache."""
    if not path.is_file():
        return {}
    resources = dict(read_json(path))
    return resources if resources.pop("candidate") == folder_md5(candidate) else {}

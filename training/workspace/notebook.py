"""Training from Python: `commentwise.train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commentwise.errors import CommentwiseError, first_line
from commentwise.fileio import atomic_file
from commentwise.models.bundle import Classifier
from commentwise.training.choice import comparison
from commentwise.training.families import catalog
from commentwise.training.project import Project
from commentwise.training.workspace.detect import Answers, detect
from commentwise.training.workspace.init import init
from commentwise.training.workspace.template import VERSION, all_candidates
from commentwise.training.workspace.train import train_on

if TYPE_CHECKING:
    import pandas as pd

FRAME = "data/comments.parquet"


def train(
    data: pd.DataFrame | str | Path,
    *,
    project: str | Path,
    text: str | None = None,
    label: str | None = None,
    stars: str | None = None,
    families: Sequence[str] | None = None,
) -> Classifier:
    """Train on labelled comments as `commentwise train` does, print the comparison, and return the chosen classifier.

    Parameters
    ----------
    data
        A frame, which is written to data/comments.parquet of the project, or the path of a file.
    project
        The project's folder; what it lacks is made, as by `commentwise init`.
    text, label
        The names of the columns with the comments and their labels; None: found out.
    stars
        `"three"` labels or `"five"`, for ratings from 1 to 5.
    families
        The families to train, of logreg, svm and bert; None: all.

    Raises
    ------
    CommentwiseError
        The frame or file cannot be read, it is not certain what it means, or a stage of the pipeline fails.
    """
    root = Path(project)
    if unknown := [name for name in families or () if name not in catalog.names()]:
        raise CommentwiseError(f"{unknown[0]!r} is not a family: name some of {', '.join(catalog.names())}")
    if not (root / VERSION).is_file():
        for line in init(root):
            print(f"init: {line}")
    path = Path(data) if isinstance(data, str | Path) else _written(data, root / FRAME)
    findings = detect(path, Answers(text, label, stars))
    for line in findings.lines:
        print(f"train: {line}")
    for name, choices in findings.doubts.items():
        raise CommentwiseError(f"not sure about {name}: pass {name}= with one of {', '.join(map(repr, choices))}")
    train_on(Project(root), path, findings, families or all_candidates(), print)
    print()
    comparison.show(Project(root))
    return Classifier(Project(root).bundle)


def _written(frame: pd.DataFrame, path: Path) -> Path:
    try:
        with atomic_file(path) as temporary:
            frame.to_parquet(temporary, index=False)
    except (ValueError, TypeError) as error:  # pyarrow's errors are ValueErrors or TypeErrors
        raise CommentwiseError(
            f"the frame cannot be written as Parquet ({first_line(error)}): give each column one type, and a text as name"
        ) from None
    return path

"""The interface of a model family.

To add a family:

1. Write a module in this folder with a settings class (a `Section`), a subclass of `Family`, and a tuple `FAMILIES` of
   its instances. `train` writes a candidate with `write_results`; the other methods have defaults for a family whose
   candidate is one ONNX graph.
2. Add a section of the same name to `families` in params.yaml.
3. Add a line to `candidates` in dvc.yaml.

Settings, evaluation, selection, export, tracking, publishing and reproduction follow from that. Import heavy libraries
inside the methods: every command imports every family's module to read its settings.
"""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from commentwise.training.candidate import GRAPH, Part
from commentwise.training.sections import Section

S = TypeVar("S", bound=Section)
HistoryRow = dict[str, Any]
"""One recorded step of training: `step`, and the values of that step."""
REFERENCE_GRAPH = "fp32.onnx"
"""The graph of every bundle that its other graphs are compared with."""


class Runner(Protocol):
    """The part of `commentwise.models.engine.Engine` that measurements need, for any runtime."""

    def logits(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits of shape (rows, labels), computed one row at a time."""

    def batch_logits(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits of shape (rows, labels) from one call."""


@dataclass(frozen=True)
class Task:
    """What every family learns: the same split, labels and tokenizer."""

    seed: int
    labels: list[str]
    max_tokens: int
    checkpoint: str
    """Its tokenizer is the one that all families share."""
    parts: dict[str, Part]
    """train, validation and test."""
    build: Path
    """A folder for caches and checkpoints, which outlives the run and can be deleted at any time."""


class Family(ABC, Generic[S]):
    """A kind of model that competes on the same split."""

    name: str
    settings_type: type[S]
    answers_first: ClassVar[bool] = False
    """Cheap enough to answer before an encoder, as the first stage of a cascade."""
    reproducible: ClassVar[bool] = True
    """Training again gives the same graph, bit for bit."""

    @abstractmethod
    def train(
        self, task: Task, settings: S, out: Path, on_row: Callable[[HistoryRow], None] | None = None
    ) -> dict[str, Any]:
        """Train, write the candidate to the folder `out`, and return its metrics.

        `on_row` is called with each row of the history as it is recorded. Raises CommentwiseError when the data or the
        settings do not allow training.
        """

    def write_graphs(self, candidate: Path, folder: Path, calibration: Sequence[Sequence[int]]) -> dict[str, str]:
        """Write every graph that could be served into `folder`; return each file's precision, the reference first.

        `calibration` holds token ids of training comments, for quantisation. The reference is `REFERENCE_GRAPH`.
        """
        shutil.copyfile(candidate / GRAPH, folder / REFERENCE_GRAPH)
        return {REFERENCE_GRAPH: "fp32"}

    def original(self, candidate: Path) -> Runner | None:
        """The model in the library that trained it, to compare speeds with; None where the graph is the original."""
        return None

"""The interface of a model family.

To add a family:

1. Write a module in this folder with a settings class (a `Section`), a subclass of `Family`, and a tuple `FAMILIES` of
   its instances. `train` writes a candidate with `write_results`. The defaults of the other methods suit a family whose
   candidate is one ONNX graph.
2. Add a section of the same name to `families` in params.yaml.
3. Add its name to `candidates` in params.yaml.

Evaluation, selection, export, tracking, publishing and reproduction then include the family. Import heavy libraries
inside the methods, because every command imports the modules of all families to read the settings.
"""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from commentwise.training.candidate import GRAPH, Part
from commentwise.training.sections import Section

S = TypeVar("S", bound=Section)
COMMENT_TOKENS = 32
"""Tokens of the comment for which families state their operations: their cost, which does not depend on a machine."""
REFERENCE_GRAPH = "fp32.onnx"
"""The graph in every bundle with which the other graphs are compared."""


class Runner(Protocol):
    """The methods of `commentwise.models.engine.Engine` that measurements need, for any runtime."""

    def logits(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits of shape (rows, labels), computed one row at a time."""

    def batch_logits(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits of shape (rows, labels) from one call."""


@dataclass(frozen=True)
class Task:
    """The task of all families: the same split, labels and tokenizer."""

    seed: int
    labels: list[str]
    max_tokens: int
    checkpoint: str
    """The pre-trained encoder; all families use its tokenizer."""
    parts: dict[str, Part]
    """The parts train, validation and test, by name."""
    build: Path
    """A persistent folder for caches and checkpoints, which can be deleted at any time."""


@dataclass(frozen=True)
class Graphs:
    """The graphs of a candidate that could be served."""

    precisions: dict[str, str]
    """The precision of each file."""
    failures: dict[str, str] = field(default_factory=dict)
    """The files that could not be written, with the reason."""


class Family(ABC, Generic[S]):
    """A type of model that is trained and compared on the same split."""

    name: str
    settings_type: type[S]
    answers_first: ClassVar[bool] = False
    """The family is cheap enough to be the first stage of a cascade, in front of an encoder."""
    reproducible: ClassVar[bool] = True
    """Training twice gives the same graph, bit for bit."""
    launched: ClassVar[str | None] = None
    """The module that `accelerate launch` runs to train it with one process or several; None: it is trained in the stage's process."""

    @abstractmethod
    def train(self, task: Task, settings: S, out: Path) -> dict[str, Any]:
        """Train, write the candidate to the folder `out`, and return its metrics.

        These include `parameters`, and `operations`: multiply-adds for a comment of COMMENT_TOKENS tokens. Raises CommentwiseError when training is impossible with these data or settings.
        """

    def write_graphs(self, candidate: Path, folder: Path, calibration: Sequence[Sequence[int]]) -> Graphs:
        """Write every graph that could be served into `folder`.

        The first is the reference, `REFERENCE_GRAPH`; if any other cannot be written, it is left out with its reason.
        `calibration` has token ids of training comments, for quantisation.
        """
        shutil.copyfile(candidate / GRAPH, folder / REFERENCE_GRAPH)
        return Graphs({REFERENCE_GRAPH: "fp32"})

    def original(self, candidate: Path) -> Runner | None:
        """The model in the library that trained it, to compare its speed; None if the candidate is an ONNX graph."""
        return None

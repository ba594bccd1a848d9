"""Which comments make up each step, and how a step is shared among devices: all a pure function of the seed.

A step is as many comments as fit in a budget of tokens, since tokens are what a step costs; comments are short, with a
long tail. Nothing here remembers anything, so training resumes at any step by its number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from commentwise.models.encoders.packing import Packed, Shape, TokenIds, pack

POOL = 50
"""Steps that are sorted by length together: large enough to pad little, small enough to stay random."""

Rows = NDArray[np.int64]
"""Row numbers of comments."""


@dataclass(frozen=True)
class Examples:
    """Comments to learn from or to answer."""

    rows: Sequence[TokenIds]
    """Token ids of each comment."""
    targets: NDArray[np.int64]
    """Label number of each comment."""
    weights: NDArray[np.float32]
    """How much each comment counts in the loss; their mean is 1."""
    ids: Sequence[str]
    """Comment ids, for messages."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each comment."""
        return np.fromiter((len(row) for row in self.rows), dtype=np.int64, count=len(self.rows))


@dataclass(frozen=True)
class MicroBatch:
    """What one device computes at once."""

    documents: Packed
    targets: Tensor
    """int64 of shape (documents,)."""
    weights: Tensor
    """float32 of shape (documents,); 0 for what only fills up."""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "MicroBatch":
        """The same batch on `device`."""
        return replace(
            self,
            documents=self.documents.to(device, non_blocking),
            targets=self.targets.to(device, non_blocking=non_blocking),
            weights=self.weights.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> "MicroBatch":
        """The same batch in memory that a GPU reads directly; the data loader calls this."""
        return MicroBatch(self.documents.pin_memory(), self.targets.pin_memory(), self.weights.pin_memory())


def epoch_steps(lengths: NDArray[np.int64], budget: int, seed: int, epoch: int, by_length: bool) -> list[Rows]:
    """Cut one pass over all comments into steps of at most `budget` tokens, a longer comment standing alone.

    With `by_length`, comments of like length share a step, so that padding it wastes little; without, steps are random.
    """
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(lengths))
    if not by_length:
        return _cut(order, lengths, budget)
    size = max(1, round(POOL * budget / lengths.mean()))
    pools = [order[start : start + size] for start in range(0, len(order), size)]
    alike = (pool[np.argsort(lengths[pool], kind="stable")] for pool in pools)
    steps = list(chain.from_iterable(_cut(pool, lengths, budget) for pool in alike))
    return [steps[number] for number in rng.permutation(len(steps))]


def evaluation_steps(lengths: NDArray[np.int64], budget: int, processes: int) -> list[Rows]:
    """All comments in steps that fill every process's budget of tokens once, the longest comments first."""
    return _cut(np.argsort(-lengths, kind="stable"), lengths, budget * processes)


def shares(step: Rows, lengths: NDArray[np.int64], processes: int, budget: int) -> list[list[Rows]]:
    """Deal a step to processes, and cut each share into micro-batches of at most `budget` tokens.

    All shares have equally many micro-batches, since sharded models compute in step; some may be empty.
    """
    by_length = step[np.argsort(-lengths[step], kind="stable")]
    dealt = [_cut(by_length[process::processes], lengths, budget) for process in range(processes)]
    most = max(len(share) for share in dealt)
    return [share + [step[:0]] * (most - len(share)) for share in dealt]


def _cut(order: Rows, lengths: NDArray[np.int64], budget: int) -> list[Rows]:
    starts, tokens = [0], 0
    for place, length in enumerate(lengths[order].tolist()):
        tokens += length
        if tokens > budget and place > starts[-1]:
            starts.append(place)
            tokens = length
    pieces = zip(starts, [*starts[1:], len(order)], strict=True)
    return [order[start:end] for start, end in pieces if end > start]


class Steps(Dataset[list[MicroBatch]]):
    """The micro-batches of each step that fall to one process, of at most `budget` tokens."""

    def __init__(
        self,
        examples: Examples,
        steps: Sequence[Rows],
        process: int,
        processes: int,
        budget: int,
        fixed_shape: bool,
    ) -> None:
        """With `fixed_shape`, all micro-batches are filled up to one shape, for code that is compiled for it."""
        self._examples = examples
        self._lengths = examples.lengths
        self._steps = steps
        self._process = process
        self._processes = processes
        self._budget = budget
        self._shape = _shape(self._lengths, budget) if fixed_shape else None

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, number: int) -> list[MicroBatch]:
        return [self._collate(rows) for rows in self.rows(number)]

    def rows(self, number: int) -> list[Rows]:
        """Which comments stand in each micro-batch of step `number`."""
        return shares(self._steps[number], self._lengths, self._processes, self._budget)[self._process]

    def _collate(self, rows: Rows) -> MicroBatch:
        examples = self._examples
        # A process without a comment takes part with one that counts nothing.
        taken = rows if len(rows) else np.zeros(1, dtype=np.int64)
        documents = pack([examples.rows[row] for row in taken.tolist()], self._shape)
        slots = len(documents.cu_seqlens) - 1
        targets, weights = np.zeros(slots, dtype=np.int64), np.zeros(slots, dtype=np.float32)
        targets[: len(rows)], weights[: len(rows)] = examples.targets[rows], examples.weights[rows]
        return MicroBatch(documents, torch.from_numpy(targets), torch.from_numpy(weights))


def _shape(lengths: NDArray[np.int64], budget: int) -> Shape:
    """Room for any micro-batch: comments rarely are as short as the shortest, all of them never."""
    longest = int(lengths.max())
    return Shape(max(budget, longest), min(len(lengths), budget // int(lengths.min()) + 1), longest)

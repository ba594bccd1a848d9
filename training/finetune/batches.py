"""The comments of each step, and their distribution over processes: pure functions of the seed.

A step has as many comments as fit in a budget of tokens, because its cost depends on tokens, and the lengths of comments
have a long tail. Nothing here has state, so training can resume at any step by its number.
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
"""Steps whose comments are sorted by length together: enough to need little padding, few enough to stay random."""

Rows = NDArray[np.int64]
"""Row numbers of comments."""


@dataclass(frozen=True)
class Examples:
    """Tokenised comments for training or prediction."""

    rows: Sequence[TokenIds]
    """Token ids of each comment."""
    targets: NDArray[np.int64]
    """Label index of each comment, shape (comments,)."""
    weights: NDArray[np.float32]
    """Weight of each comment in the loss, shape (comments,), with mean 1."""
    ids: Sequence[str]
    """Comment ids, for messages."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens of each comment, shape (comments,)."""
        return np.fromiter((len(row) for row in self.rows), dtype=np.int64, count=len(self.rows))


@dataclass(frozen=True)
class MicroBatch:
    """Comments that go through the model in one pass on one device."""

    documents: Packed
    targets: Tensor
    """int64 of shape (documents,)."""
    weights: Tensor
    """float32 of shape (documents,); 0 for padding documents."""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "MicroBatch":
        """The same batch on `device`."""
        return replace(
            self,
            documents=self.documents.to(device, non_blocking),
            targets=self.targets.to(device, non_blocking=non_blocking),
            weights=self.weights.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> "MicroBatch":
        """The same batch in page-locked memory, from which copies to a GPU are faster. The data loader calls this."""
        return MicroBatch(self.documents.pin_memory(), self.targets.pin_memory(), self.weights.pin_memory())


def epoch_steps(lengths: NDArray[np.int64], budget: int, seed: int, epoch: int, by_length: bool) -> list[Rows]:
    """Split an epoch into steps of at most `budget` tokens; a comment that is longer gets its own step.

    `lengths` has shape (comments,). Each step lists the rows of its comments. With `by_length`, comments of similar
    length share a step, which reduces padding; otherwise steps are random.

    >>> [step.tolist() for step in epoch_steps(np.array([5, 5, 5]), budget=10, seed=0, epoch=1, by_length=False)]
    [[2, 0], [1]]
    """
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(lengths))
    if not by_length:
        return _cut(order, lengths, budget)
    size = max(1, round(POOL * budget / lengths.mean()))
    pools = [order[start : start + size] for start in range(0, len(order), size)]
    by_size = (pool[np.argsort(lengths[pool], kind="stable")] for pool in pools)
    steps = list(chain.from_iterable(_cut(pool, lengths, budget) for pool in by_size))
    return [steps[number] for number in rng.permutation(len(steps))]


def evaluation_steps(lengths: NDArray[np.int64], budget: int, processes: int) -> list[Rows]:
    """Split all comments into steps of at most `budget` tokens per process, the longest comments first."""
    return _cut(np.argsort(-lengths, kind="stable"), lengths, budget * processes)


def shares(step: Rows, lengths: NDArray[np.int64], processes: int, budget: int) -> list[list[Rows]]:
    """Distribute a step over processes, and split each share into micro-batches of at most `budget` tokens.

    All shares have the same number of micro-batches, because the processes of a sharded model must run in lockstep; some
    micro-batches may be empty. The result is indexed by process, micro-batch and comment.
    """
    by_length = step[np.argsort(-lengths[step], kind="stable")]
    split = [_cut(by_length[process::processes], lengths, budget) for process in range(processes)]
    max_batches = max(len(share) for share in split)
    return [share + [step[:0]] * (max_batches - len(share)) for share in split]


def _cut(order: Rows, lengths: NDArray[np.int64], budget: int) -> list[Rows]:
    starts, tokens = [0], 0
    for position, length in enumerate(lengths[order].tolist()):
        tokens += length
        if tokens > budget and position > starts[-1]:
            starts.append(position)
            tokens = length
    pieces = zip(starts, [*starts[1:], len(order)], strict=True)
    return [order[start:end] for start, end in pieces if end > start]


class Steps(Dataset[list[MicroBatch]]):
    """One process's micro-batches of each step, of at most `budget` tokens each."""

    def __init__(
        self,
        examples: Examples,
        steps: Sequence[Rows],
        process: int,
        processes: int,
        budget: int,
        fixed_shape: bool,
    ) -> None:
        """With `fixed_shape`, all micro-batches are padded to one shape, for a compiled model."""
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
        """The rows of the comments in each micro-batch of step `number`."""
        return shares(self._steps[number], self._lengths, self._processes, self._budget)[self._process]

    def _collate(self, rows: Rows) -> MicroBatch:
        examples = self._examples
        # An empty micro-batch runs with one comment of weight 0.
        packed = rows if len(rows) else np.zeros(1, dtype=np.int64)
        documents = pack([examples.rows[row] for row in packed.tolist()], self._shape)
        slots = len(documents.cu_seqlens) - 1
        targets, weights = np.zeros(slots, dtype=np.int64), np.zeros(slots, dtype=np.float32)
        targets[: len(rows)], weights[: len(rows)] = examples.targets[rows], examples.weights[rows]
        return MicroBatch(documents, torch.from_numpy(targets), torch.from_numpy(weights))


def _shape(lengths: NDArray[np.int64], budget: int) -> Shape:
    """A shape that fits any micro-batch of at most `budget` tokens."""
    longest = int(lengths.max())
    return Shape(max(budget, longest), min(len(lengths), budget // int(lengths.min()) + 1), longest)

"""Batches of comments of like length, so that little is padded."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

POOL = 50
"""Batches that are sorted by length together: large enough to pad little, small enough to stay random."""

Example = tuple[list[int], int]


class EncodedComments(Dataset[Example]):
    """Token ids and label number of each comment."""

    def __init__(self, rows: Sequence[list[int]], true: Sequence[int]) -> None:
        self.rows = rows
        self.true = true

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Example:
        return self.rows[index], int(self.true[index])


class LengthBuckets(Sampler[list[int]]):
    """Shuffled batches of `batch_size` row numbers, alike in length; a pure function of the seed and the epoch."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = np.asarray(lengths)
        self._seed = seed
        self.batch_size = batch_size
        self.drop_last = False
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass."""
        self._epoch = epoch

    def __len__(self) -> int:
        return -(-len(self._lengths) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self._seed, self._epoch))
        order = rng.permutation(len(self._lengths))
        step = self.batch_size * POOL
        pools = [order[start : start + step] for start in range(0, len(order), step)]
        by_length = np.concatenate([pool[np.argsort(self._lengths[pool], kind="stable")] for pool in pools])
        batches = [by_length[start : start + self.batch_size] for start in range(0, len(by_length), self.batch_size)]
        for number in rng.permutation(len(batches)):
            yield batches[number].tolist()


def collate(examples: Sequence[Example], pad_id: int) -> dict[str, Tensor]:
    """Pad to the longest: input_ids and attention_mask of shape (comments, tokens), labels of shape (comments,)."""
    width = max(len(tokens) for tokens, _ in examples)
    input_ids = torch.full((len(examples), width), pad_id)
    attention_mask = torch.zeros((len(examples), width), dtype=torch.long)
    for row, (tokens, _) in enumerate(examples):
        input_ids[row, : len(tokens)] = torch.tensor(tokens)
        attention_mask[row, : len(tokens)] = 1
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "labels": torch.tensor([label for _, label in examples]),
    }

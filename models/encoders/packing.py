"""Batches without padding: documents concatenated in a single row of tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from commentwise.errors import CommentwiseError

TokenIds = Sequence[int] | NDArray[np.int32]


@dataclass(frozen=True)
class Shape:
    """A fixed shape to which batches are filled, for code that is compiled or captured once.

    `tokens` and `documents` limit a batch, `max_length` the tokens of each document. A packed batch has more documents
    than that: the filling.
    """

    tokens: int
    documents: int
    max_length: int

    @property
    def slots(self) -> int:
        """Documents of a packed batch, including the filling."""
        return self.documents + -(-self.tokens // self.max_length)


@dataclass(frozen=True)
class Packed:
    """Packed documents, as returned by `pack`.

    input_ids and position_ids, which start at 0 in each document, are int64 of shape (tokens,). cu_seqlens is int32 of
    shape (documents + 1,): document i has the tokens from cu_seqlens[i] up to cu_seqlens[i + 1], and the last document
    ends with the last token. max_length is at least the length of the longest document.
    """

    input_ids: Tensor
    position_ids: Tensor
    cu_seqlens: Tensor
    max_length: int

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Packed":
        """The batch on `device`; called by Accelerate's loaders."""
        return replace(
            self,
            input_ids=self.input_ids.to(device, non_blocking=non_blocking),
            position_ids=self.position_ids.to(device, non_blocking=non_blocking),
            cu_seqlens=self.cu_seqlens.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> "Packed":
        """The batch in pinned memory; called by torch's data loader."""
        return replace(
            self,
            input_ids=self.input_ids.pin_memory(),
            position_ids=self.position_ids.pin_memory(),
            cu_seqlens=self.cu_seqlens.pin_memory(),
        )


def pack(rows: Sequence[TokenIds], shape: Shape | None = None) -> Packed:
    """Pack the token ids of at least one document; with a `shape`, fill the batch up to it.

    The filling consists of extra documents after those of `rows`: ignore their logits. Raises CommentwiseError if
    `rows` do not fit into the shape, or one has no tokens.

    >>> pack([[5, 6, 7], [8]]).cu_seqlens.tolist()
    [0, 3, 4]
    >>> pack([[5, 6, 7], [8]], Shape(tokens=8, documents=2, max_length=4)).cu_seqlens.tolist()
    [0, 3, 4, 8, 8]
    """
    lengths = [len(row) for row in rows]
    if 0 in lengths:
        raise CommentwiseError(f"comment {lengths.index(0)} of the batch: has no tokens; leave it out")
    filling = [] if shape is None else _filling(lengths, shape)
    offsets = np.cumsum([0, *lengths, *filling])
    input_ids = np.zeros(offsets[-1], dtype=np.int64)
    input_ids[: sum(lengths)] = np.concatenate(rows)
    return Packed(
        input_ids=torch.from_numpy(input_ids),
        position_ids=torch.from_numpy(np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))),
        cu_seqlens=torch.from_numpy(offsets.astype(np.int32)),
        max_length=max(lengths) if shape is None else shape.max_length,
    )


def _filling(lengths: list[int], shape: Shape) -> list[int]:
    """Lengths of the documents that fill the remaining tokens of the shape, and then its slots."""
    for name, value, limit in (
        ("tokens", sum(lengths), shape.tokens),
        ("documents", len(lengths), shape.documents),
        ("max_length", max(lengths), shape.max_length),
    ):
        if value > limit:
            raise CommentwiseError(f"packed batch: {name} {value} exceeds the shape's {limit}; raise it, or pack less")
    full, rest = divmod(shape.tokens - sum(lengths), shape.max_length)
    pieces = [shape.max_length] * full + ([rest] if rest else [])
    return pieces + [0] * (shape.slots - len(lengths) - len(pieces))

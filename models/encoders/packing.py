"""Batches without padding: comments one after the other in a single row of tokens."""

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
    """The shape that every batch is filled up to, for code that is compiled or captured once.

    `tokens` and `documents` bound what a batch holds, `max_length` the tokens of each document. The packed batch has
    more documents than that, for the filling.
    """

    tokens: int
    documents: int
    max_length: int

    @property
    def slots(self) -> int:
        """Documents of a packed batch, the filling included."""
        return self.documents + -(-self.tokens // self.max_length)


@dataclass(frozen=True)
class Packed:
    """Documents one after the other, as `pack` makes them.

    input_ids and position_ids (counted from 0 in each document) are int64 of shape (tokens,). cu_seqlens is int32 of
    shape (documents + 1,): document i has the tokens from cu_seqlens[i] up to cu_seqlens[i + 1], and the last ends
    with the last token. max_length is at least the length of the longest.
    """

    input_ids: Tensor
    position_ids: Tensor
    cu_seqlens: Tensor
    max_length: int

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Packed":
        """The same batch on `device`, as Accelerate's loaders ask for it."""
        return replace(
            self,
            input_ids=self.input_ids.to(device, non_blocking=non_blocking),
            position_ids=self.position_ids.to(device, non_blocking=non_blocking),
            cu_seqlens=self.cu_seqlens.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> "Packed":
        """The same batch in memory that a GPU reads directly, as torch's data loader asks for it."""
        return replace(
            self,
            input_ids=self.input_ids.pin_memory(),
            position_ids=self.position_ids.pin_memory(),
            cu_seqlens=self.cu_seqlens.pin_memory(),
        )


def pack(rows: Sequence[TokenIds], shape: Shape | None = None) -> Packed:
    """Pack the token ids of at least one document; with a `shape`, fill the batch up to it.

    The documents of the filling follow those of `rows`, whose answers are therefore the first ones. They are documents
    like others, which nothing looks at. Raises CommentwiseError where `rows` do not fit, or one has no token.
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
    """Lengths of the documents that use up what is left of the shape's tokens, and then its slots."""
    for name, value, bound in (
        ("tokens", sum(lengths), shape.tokens),
        ("documents", len(lengths), shape.documents),
        ("max_length", max(lengths), shape.max_length),
    ):
        if value > bound:
            raise CommentwiseError(f"packed batch: {name} {value} exceeds the shape's {bound}; raise it, or pack less")
    full, rest = divmod(shape.tokens - sum(lengths), shape.max_length)
    pieces = [shape.max_length] * full + ([rest] if rest else [])
    return pieces + [0] * (shape.slots - len(lengths) - len(pieces))

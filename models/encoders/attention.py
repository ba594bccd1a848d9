"""Attention within packed documents: one function, three kernels.

Packed documents are concatenated in a single row of tokens, with no padding between them. `cu_seqlens`, the cumulative
sum of their lengths, marks where each begins and ends; every token belongs to one document, so the last offset is the
number of tokens. A document may be empty.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from commentwise.errors import CommentwiseError

Kernel = Literal["auto", "varlen", "nested", "padded"]
"""Implementations of attention, which agree to float tolerance.

varlen: flash attention over the packed tokens (torch.nn.attention.varlen). Needs CUDA with compute capability 8.0 or
newer, and bf16 or fp16. The fastest, and the only one without attention dropout.
nested: scaled dot-product attention of a nested tensor (torch.nested), without padding and with dropout. Torch selects
the kernel: fused on CUDA, slow and not compilable on the CPU. Falls back to padded with a window or `first_only`.
padded: scaled dot-product attention with every document padded to the longest. Runs everywhere.
auto: varlen if it can run, otherwise padded.
"""


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seqlens: Tensor,
    max_length: int,
    *,
    first_only: bool = False,
    window: int | None = None,
    dropout: float = 0.0,
    kernel: Kernel = "auto",
) -> Tensor:
    """Attention of each token to the tokens of its own document; same shape as the query, (tokens, heads, head_size).

    `cu_seqlens` is int32 of shape (documents + 1,), and no document is longer than `max_length` tokens; nothing here
    synchronises with the device. With `first_only`, only the first token of each document attends, and query and
    result have one row per document: all that a classifier needs from its last layer. With a `window`, tokens attend
    to at most that many tokens on either side. `dropout` is the probability of dropping an attention weight. Raises
    CommentwiseError if a `kernel` was chosen that cannot run.
    """
    if window is not None and window >= max_length - 1:
        window = None  # it covers every document
    has_varlen = _has_varlen(query)
    if kernel == "varlen" and not has_varlen:
        raise CommentwiseError(
            f"attention kernel varlen: needs a CUDA device of compute capability 8.0 and bf16 or fp16, not {query.device.type} and {str(query.dtype).removeprefix('torch.')}; choose auto, nested or padded"
        )
    if kernel == "auto":
        kernel = "varlen" if has_varlen else "padded"
    if kernel == "nested" and window is not None:
        kernel = "padded"
    if kernel == "nested" and first_only:
        kernel = "padded"
    return _KERNELS[kernel](query, key, value, cu_seqlens, max_length, first_only, window, dropout)


def document_numbers(cu_seqlens: Tensor, tokens: int) -> Tensor:
    """The number of each token's document, int64 of shape (tokens,)."""
    places = torch.arange(tokens, dtype=cu_seqlens.dtype, device=cu_seqlens.device)
    return torch.bucketize(places, cu_seqlens[1:], right=True)


def _has_varlen(query: Tensor) -> bool:
    return (
        query.is_cuda
        and query.dtype in (torch.bfloat16, torch.float16)
        and torch.cuda.get_device_properties(query.device).major >= 8
    )


def _varlen(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seqlens: Tensor,
    max_length: int,
    first_only: bool,
    window: int | None,
    dropout: float,
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn  # may be missing in a torch built without CUDA

    reach = -1 if window is None else window
    offsets, query_length = cu_seqlens, max_length
    if first_only:
        offsets, query_length = torch.arange(len(cu_seqlens), dtype=torch.int32, device=cu_seqlens.device), 1
    context = varlen_attn(query, key, value, offsets, cu_seqlens, query_length, max_length, window_size=(reach, reach))
    assert isinstance(context, Tensor)
    return context


def _nested(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seqlens: Tensor,
    max_length: int,
    first_only: bool,
    window: int | None,
    dropout: float,
) -> Tensor:
    def nest(packed: Tensor) -> Tensor:
        # The fused kernels handle empty documents, but torch selects them only for min_seqlen > 0.
        nested = torch.nested.nested_tensor_from_jagged(
            packed.contiguous(), cu_seqlens, min_seqlen=1, max_seqlen=max_length
        )
        return nested.transpose(1, 2)

    context = F.scaled_dot_product_attention(nest(query), nest(key), nest(value), dropout_p=dropout)
    packed: Tensor = context.transpose(1, 2).values()
    return packed


def _padded(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seqlens: Tensor,
    max_length: int,
    first_only: bool,
    window: int | None,
    dropout: float,
) -> Tensor:
    documents = len(cu_seqlens) - 1
    numbers = document_numbers(cu_seqlens, len(key))
    positions = torch.arange(len(key), device=key.device) - cu_seqlens[numbers]
    slots = numbers * max_length + positions

    def pad(packed: Tensor) -> Tensor:
        room = packed.new_zeros(documents * max_length, *packed.shape[1:])
        rows: Tensor = room.index_copy(0, slots, packed).unflatten(0, (documents, max_length))
        return rows.transpose(1, 2)

    mask = _attention_mask(cu_seqlens.diff(), max_length, window)
    if first_only:
        return _attend(query[:, :, None], pad(key), pad(value), mask[:, :, :1], dropout)[:, :, 0]
    context = _attend(pad(query), pad(key), pad(value), mask, dropout)
    return context.transpose(1, 2).flatten(0, 1).index_select(0, slots)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout: float) -> Tensor:
    if query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
    # Written out: the backward pass of torch's fused CPU kernel is slower than this.
    scores = (query @ key.transpose(-1, -2)) * query.shape[-1] ** -0.5
    weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1).to(value.dtype)
    return F.dropout(weights, dropout) @ value


def _attention_mask(lengths: Tensor, max_length: int, window: int | None) -> Tensor:
    """The attention mask of padded documents: bool of shape (documents, 1, max_length, max_length), True to attend."""
    places = torch.arange(max_length, device=lengths.device)
    distance = (places - places[:, None]).abs()
    mask = (places < lengths[:, None])[:, None, None]
    if window is not None:
        mask = mask & (distance <= window)
    # Padding attends to itself: some kernels give NaN for a query without keys, which would spread through gradients.
    return mask | (distance == 0)


_KERNELS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor, int, bool, int | None, float], Tensor]] = {
    "varlen": _varlen,
    "nested": _nested,
    "padded": _padded,
}

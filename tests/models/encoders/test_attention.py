"""The kernels agree with attention computed document by document, and one that cannot run is refused."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from commentwise.errors import CommentwiseError
from commentwise.models.encoders.attention import Kernel, _attention_mask, attention

OFFSETS = torch.tensor([0, 7, 8, 28, 28, 40, 43, 43], dtype=torch.int32)
MAX_LENGTH = 20
HEADS = torch.randn(43, 2, 8, generator=torch.Generator().manual_seed(0))


def document_by_document(query: Tensor, key: Tensor, value: Tensor, window: int) -> Tensor:
    """softmax(q k / sqrt(size)) v, from the definition."""
    answers = []
    for start, end in pairwise(OFFSETS.tolist()):
        scores = torch.einsum("qhs,khs->hqk", query[start:end], key[start:end]) / query.shape[-1] ** 0.5
        places = torch.arange(end - start)
        far = (places - places[:, None]).abs() > window
        weights = scores.masked_fill(far, -torch.inf).softmax(dim=-1)
        answers.append(torch.einsum("hqk,khs->qhs", weights, value[start:end]))
    return torch.cat(answers)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
@pytest.mark.parametrize("kernel", ["nested", "padded"])
@pytest.mark.parametrize("window", [None, 0, 3, 18, 19])
def test_kernels_agree_with_the_definition(kernel: Kernel, window: int | None) -> None:
    query, key, value = HEADS, HEADS.flip(0), HEADS.roll(1, 0)
    expected = document_by_document(query, key, value, MAX_LENGTH if window is None else window)
    context = attention(query, key, value, OFFSETS, MAX_LENGTH, window=window, kernel=kernel)
    torch.testing.assert_close(context, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kernel", ["nested", "padded"])
def test_first_tokens_alone_get_the_same_context_as_among_the_others(kernel: Kernel) -> None:
    query, key, value = HEADS, HEADS.flip(0), HEADS.roll(1, 0)
    not_last = OFFSETS[OFFSETS < 43]
    starts, offsets = not_last[not_last.diff(append=torch.tensor([43])) > 0].long(), torch.tensor([0, 7, 8, 28, 40, 43])
    all_tokens = document_by_document(query, key, value, MAX_LENGTH)
    context = attention(query[starts], key, value, offsets.int(), MAX_LENGTH, first_only=True, kernel=kernel)
    torch.testing.assert_close(context, all_tokens[starts], atol=1e-6, rtol=1e-5)


def test_every_token_and_all_padding_attends_to_something() -> None:
    lengths = torch.tensor([2, 0, 5])
    for window in (None, 1):
        assert _attention_mask(lengths, 5, window).expand(3, 1, 5, 5).any(dim=-1).all()


def test_the_varlen_kernel_is_refused_on_cpu_and_not_chosen() -> None:
    with pytest.raises(CommentwiseError, match=r"varlen.*cpu and float32.*choose auto"):
        attention(HEADS, HEADS, HEADS, OFFSETS, MAX_LENGTH, kernel="varlen")
    auto, padded = (attention(HEADS, HEADS, HEADS, OFFSETS, MAX_LENGTH, kernel=kernel) for kernel in ("auto", "padded"))
    assert auto.equal(padded)


def test_the_varlen_kernel_receives_offsets_and_window(monkeypatch: pytest.MonkeyPatch) -> None:
    varlen = pytest.importorskip("torch.nn.attention.varlen")
    calls: list[tuple[Any, ...]] = []

    def record(query: Tensor, *rest: Any, window_size: tuple[int, int]) -> Tensor:
        calls.append((*rest[2:], window_size))
        return query

    monkeypatch.setattr(varlen, "varlen_attn", record)
    monkeypatch.setattr("commentwise.models.encoders.attention._has_varlen", lambda query: True)
    for window in (None, 3, 19):
        attention(HEADS, HEADS, HEADS, OFFSETS, MAX_LENGTH, window=window)
    assert calls == [(OFFSETS, OFFSETS, MAX_LENGTH, MAX_LENGTH, reach) for reach in ((-1, -1), (3, 3), (-1, -1))]
    attention(HEADS[: len(OFFSETS) - 1], HEADS, HEADS, OFFSETS, MAX_LENGTH, first_only=True)
    offsets, *rest = calls[-1]
    assert offsets.tolist() == list(range(len(OFFSETS)))
    assert rest == [OFFSETS, 1, MAX_LENGTH, (-1, -1)]

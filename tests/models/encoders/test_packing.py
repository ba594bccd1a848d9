"""Packed batches hold their documents, in a fixed shape on request."""

import pytest
import torch
from accelerate.utils import send_to_device

from commentwise.errors import CommentwiseError
from commentwise.models.encoders.packing import Packed, Shape, pack

SHAPE = Shape(tokens=80, documents=8, max_length=24)


def rows_of(*lengths: int) -> list[list[int]]:
    return [list(range(number, number + length)) for number, length in enumerate(lengths)]


def test_documents_are_concatenated() -> None:
    batch = pack([[5, 6, 7], [8], [9, 5]])
    assert batch.input_ids.tolist() == [5, 6, 7, 8, 9, 5]
    assert batch.position_ids.tolist() == [0, 1, 2, 0, 0, 1]
    assert batch.cu_seqlens.tolist() == [0, 3, 4, 6]
    assert batch.cu_seqlens.dtype == torch.int32  # required by flash attention
    assert batch.max_length == 3


def test_filled_batches_have_the_same_shape() -> None:
    for rows in (rows_of(7, 1, 20, 12, 3), rows_of(24, 24, 24), rows_of(*[10] * 8)):
        batch = pack(rows, SHAPE)
        assert batch.input_ids.shape == batch.position_ids.shape == (80,)
        assert batch.cu_seqlens.shape == (SHAPE.slots + 1,)
        lengths = batch.cu_seqlens.diff().tolist()
        assert lengths[: len(rows)] == list(map(len, rows))
        assert sum(lengths) == 80
        assert max(lengths) <= batch.max_length == 24


@pytest.mark.parametrize(
    ("lengths", "name"), [([20] * 5, "tokens 100"), ([2] * 9, "documents 9"), ([25], "max_length 25"), ([3, 0], "1 ")]
)
def test_documents_that_do_not_fit_are_refused(lengths: list[int], name: str) -> None:
    with pytest.raises(CommentwiseError, match=name):
        pack(rows_of(*lengths), SHAPE)


def test_accelerate_moves_a_batch_to_a_device() -> None:
    moved: Packed = send_to_device({"batch": pack(rows_of(7, 20, 3))}, torch.device("meta"), non_blocking=True)["batch"]
    assert {moved.input_ids.device.type, moved.position_ids.device.type, moved.cu_seqlens.device.type} == {"meta"}
    assert moved.max_length == 20

"""Inference with a classifier's ONNX graph on the CPU or a GPU, by ONNX Runtime."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from commentwise.errors import CommentwiseError
from commentwise.models.cores import available_cores

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
GPU_BATCH_SIZE = 64


def available_device() -> str:
    """`cuda` if the installed ONNX Runtime supports it, otherwise `cpu`."""
    return "cuda" if PROVIDERS["cuda"] in onnxruntime.get_available_providers() else "cpu"


def padded(rows: Sequence[Sequence[int]]) -> dict[str, NDArray[np.int64]]:
    """The inputs of a graph for these rows: input_ids and attention_mask of shape (rows, longest row).

    >>> {name: values.tolist() for name, values in padded([[5, 6], [7]]).items()}
    {'input_ids': [[5, 6], [7, 0]], 'attention_mask': [[1, 1], [1, 0]]}
    """
    width = max(len(row) for row in rows)
    input_ids = np.zeros((len(rows), width), dtype=np.int64)
    attention_mask = np.zeros((len(rows), width), dtype=np.int64)
    for index, row in enumerate(rows):
        input_ids[index, : len(row)] = row
        attention_mask[index, : len(row)] = 1
    return {"input_ids": input_ids, "attention_mask": attention_mask}


class Engine:
    """An ONNX graph with the signature `input_ids, attention_mask -> logits`, loaded on a device.

    On the CPU each comment runs alone on one thread, as many at a time as there are cores. This needs no padding, is
    as fast as batches at this model size, and makes the result independent of the other comments: dynamic int8 uses
    one activation scale per batch, so in a batch it would depend on them.
    """

    def __init__(self, model: Path, device: str = "cpu", threads: int | None = None, index: int = 0) -> None:
        """Load the graph at `model`. `threads` limits the comments run at once on the CPU (default: the cores).

        `index` is the number of the GPU. Raises CommentwiseError if the file is not an ONNX graph with this signature or
        the device is not available.
        """
        if PROVIDERS[device] not in onnxruntime.get_available_providers():
            raise CommentwiseError(
                f"device {device!r} is not available: install onnxruntime-gpu, or use the device 'cpu'"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            provider = (PROVIDERS[device], {"device_id": index} if device == "cuda" else {})
            self._session = onnxruntime.InferenceSession(str(model), options, providers=[provider])
        except Exception as error:  # ONNX Runtime's exceptions share no public base class
            reason = str(error).strip().splitlines()[0]
            raise CommentwiseError(
                f"{model} is not a loadable ONNX model ({reason}): export the bundle again"
            ) from None
        if PROVIDERS[device] not in self._session.get_providers():  # ONNX Runtime falls back to the CPU silently
            raise CommentwiseError(f"device {device!r} does not work here: fix its driver, or use the device 'cpu'")
        names = {value.name for value in self._session.get_inputs()}
        if names != {"input_ids", "attention_mask"}:
            raise CommentwiseError(
                f"{model} takes {sorted(names)}, not input_ids and attention_mask: export the bundle again"
            )
        self._device = device
        self._index = index
        self._pool = ThreadPoolExecutor(threads or available_cores(), thread_name_prefix="engine")

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def logits(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits of shape (rows, labels), in the order of `rows`; a row is the token ids of a comment."""
        if self._device == "cpu":
            return np.concatenate(list(self._pool.map(lambda row: self.batch_logits([row]), rows)))
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))  # similar lengths together: less padding
        batches = [order[start : start + GPU_BATCH_SIZE] for start in range(0, len(order), GPU_BATCH_SIZE)]
        answers = np.concatenate([self.batch_logits([rows[index] for index in batch]) for batch in batches])
        return np.asarray(answers[np.argsort(order)])

    def batch_logits(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits of shape (rows, labels) from one run, with the rows padded to the longest."""
        inputs = padded(rows)
        run = self._on_cpu if self._device == "cpu" else self._bound
        return np.asarray(run(inputs), dtype=np.float32)

    def warm_up(self, shapes: Sequence[tuple[int, int]]) -> None:
        """Run batches of these shapes (rows, tokens), so that memory and kernels are ready for the first request."""
        for rows, tokens in shapes:
            self.batch_logits([[0] * tokens] * rows)

    def _on_cpu(self, inputs: dict[str, NDArray[np.int64]]) -> Any:
        return self._session.run(["logits"], inputs)[0]

    def _bound(self, inputs: dict[str, NDArray[np.int64]]) -> Any:
        """Run with inputs and outputs bound to device memory (ONNX Runtime's I/O binding)."""
        binding = self._session.io_binding()
        for name, values in inputs.items():
            value = onnxruntime.OrtValue.ortvalue_from_numpy(values, self._device, self._index)
            binding.bind_ortvalue_input(name, value)
        binding.bind_output("logits", self._device, self._index)
        self._session.run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()[0]

"""OpenVINO as an alternative runtime on the CPU: int8 by NNCF, with the interface of commentwise.models.engine.

Both packages are optional and imported only where they are used.
"""

import contextlib
import importlib.util
import io
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commentwise.models.cores import available_cores
from commentwise.models.engine import padded

PACKAGES = ("openvino", "nncf")
INSTALL = f"pip install {' '.join(PACKAGES)}"


def installed() -> bool:
    """Return True if OpenVINO and NNCF are installed."""
    return all(importlib.util.find_spec(package) for package in PACKAGES)


def quantise_smoothly(graph: Path, out: Path, calibration: Sequence[Sequence[int]]) -> None:
    """Write an ONNX graph in static int8 after SmoothQuant, by NNCF; `calibration` holds input_ids of comments."""
    import nncf
    import openvino

    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
        model = nncf.quantize(
            openvino.Core().read_model(graph),
            nncf.Dataset(calibration, lambda row: padded([row])),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(calibration),
        )
    openvino.save_model(model, out, compress_to_fp16=False)


def compress_weights(graph: Path, out: Path) -> None:
    """Write an ONNX graph with int8 weights, one scale per channel; the precision of activations is set on loading."""
    import nncf
    import openvino

    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        model = nncf.compress_weights(openvino.Core().read_model(graph), mode=nncf.CompressWeightsMode.INT8_SYM)
    openvino.save_model(model, out, compress_to_fp16=False)


class OpenVinoEngine:
    """A graph in OpenVINO that runs one call per core at a time, each on one thread."""

    def __init__(self, graph: Path, options: dict[str, str]) -> None:
        """Compile the graph for the CPU with `options`, properties of OpenVINO."""
        import openvino

        cores = available_cores()
        threads = {"INFERENCE_NUM_THREADS": str(cores), "NUM_STREAMS": str(cores)}
        model = openvino.Core().compile_model(graph, "CPU", options | threads)
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(cores):
            self._requests.put(model.create_infer_request())
        self._pool = ThreadPoolExecutor(cores, thread_name_prefix="openvino")

    def __enter__(self) -> "OpenVinoEngine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def logits(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits of shape (rows, labels), in the order of `rows`, one comment per call."""
        return np.concatenate(list(self._pool.map(lambda row: self.batch_logits([row]), rows)))

    def batch_logits(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits of shape (rows, labels) from one call, the rows padded to the longest."""
        request = self._requests.get()
        try:
            return np.array(request.infer(padded(rows))["logits"], dtype=np.float32)
        finally:
            self._requests.put(request)

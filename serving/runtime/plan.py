"""The plan of inference: the number of workers, and the amount of work that each holds."""

import math
from dataclasses import dataclass

from commentwise.errors import CommentwiseError
from commentwise.models.bundle import Manifest
from commentwise.models.cores import available_cores
from commentwise.models.engine import available_device
from commentwise.serving.settings import Settings

GPU_BATCH_TOKENS = 16_384
CORES_PER_WORKER = 8
"""With more threads than this a worker's Python would be the bottleneck."""
PREPARED = 2
"""Pieces of work that a worker holds beyond the running ones, so that it does not wait for its socket."""


@dataclass(frozen=True)
class Plan:
    """The number of workers, and of threads and tokens per worker. On the CPU all threads together equal the cores."""

    device: str
    gpus: int
    workers: int
    """Per device."""
    threads: int
    """Pieces of work that a worker runs at once."""
    batch_tokens: int
    """0: a piece of work is one comment."""
    cascade: bool
    """True if bundles that have a cascade answer with it."""

    @property
    def worker_count(self) -> int:
        """All workers."""
        return self.workers * (self.gpus if self.device == "cuda" else 1)

    @property
    def room(self) -> int:
        """Maximum number of pieces of work that a worker holds, including the running ones."""
        return self.threads + PREPARED


def make_plan(settings: Settings, manifest: Manifest) -> Plan:
    """Return the plan for this machine. `auto` becomes the device that both the machine and the bundle support.

    Raises CommentwiseError when the requested device is not available.
    """
    device: str = settings.device
    if device == "auto":
        available = available_device()
        device = available if available in manifest.devices else "cpu"
    if device == "cuda":
        if available_device() != "cuda":
            raise CommentwiseError("device 'cuda' is not available: install onnxruntime-gpu, or use the device 'cpu'")
        return Plan(device, settings.gpus, settings.workers or 1, 1, settings.batch_tokens or GPU_BATCH_TOKENS, False)
    cores = available_cores()
    workers = settings.workers or max(min(cores, 2), math.ceil(cores / CORES_PER_WORKER))
    return Plan(
        device, 0, workers, settings.threads or max(1, cores // workers), settings.batch_tokens, settings.cascade
    )

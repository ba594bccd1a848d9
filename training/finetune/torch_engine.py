"""The encoder in torch with the interface of an engine, to compare the exported graphs with."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification

from commentwise.models.cores import available_cores
from commentwise.models.engine import padded


class TorchEngine:
    """An encoder saved by transformers, run on all cores of the CPU."""

    def __init__(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Load the model in `folder` with weights of type `dtype`, in which it also computes."""
        torch.set_num_threads(available_cores())
        self._model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype).eval()

    def logits(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits of shape (rows, labels), computed one row at a time."""
        return np.concatenate([self.batch_logits([row]) for row in rows])

    @torch.no_grad()
    def batch_logits(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits of shape (rows, labels) from one call, the rows padded to the longest."""
        feeds = {name: torch.from_numpy(values) for name, values in padded(rows).items()}
        return np.asarray(self._model(**feeds).logits.float().numpy())

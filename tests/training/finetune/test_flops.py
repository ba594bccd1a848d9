"""Training FLOPs follow the formula in the docstring, and the peak of the device is positive."""

import numpy as np
import torch

from commentwise.training.finetune.flops import peak_flops, training_flops
from tests.training.finetune.loop_run import model


def test_training_flops_follow_the_formula() -> None:
    # Two layers: query, key, value and output of 16 x 16, and 16 x 32 twice; a pooler of 16 x 16.
    weights = 2 * (4 * 16 * 16 + 2 * 16 * 32) + 16 * 16
    expected = 6 * weights * (10 + 20) + 12 * 2 * 16 * (10**2 + 20**2)
    assert training_flops(model(), np.array([10, 20])) == expected


def test_the_peak_of_an_unknown_device_is_measured() -> None:
    assert peak_flops(torch.device("cpu"), torch.float32) > 1e9

"""The terms of model FLOPs utilisation (MFU): the FLOPs of training, and the peak of the device."""

import time
from typing import Any

import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

PEAKS = {
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10G": 70e12,
}
"""Dense bf16 FLOP/s of GPUs, from NVIDIA's data sheets, by a part of the device's name. The first match counts."""


def training_flops(model: PreTrainedModel, lengths: NDArray[Any]) -> float:
    """FLOPs of one forward and backward pass over comments of these lengths, without padding.

    6 N s + 12 L d s² for a comment of s tokens (Chowdhery et al. 2022, PaLM, appendix B), where N is the number of
    weights in the layers' matrices, without embeddings, L the number of layers and d the hidden size. These are the
    FLOPs of the model, not of its implementation: skipped operations count too.
    """
    config = model.config
    body = model.base_model
    weights = sum(
        weight.numel() for name, weight in body.named_parameters() if weight.ndim >= 2 and "embeddings" not in name
    )
    squares = 12 * config.num_hidden_layers * config.hidden_size
    tokens = lengths.astype(float)
    return float(6 * weights * tokens.sum() + squares * (tokens**2).sum())


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Peak FLOP/s of the device: from its data sheet if known, else measured with a large matrix product."""
    if device.type == "cuda" and dtype == torch.bfloat16:
        name = torch.cuda.get_device_name(device)
        for model, peak in PEAKS.items():
            if model in name:
                return peak
    return _measured_peak(device, dtype)


def _measured_peak(device: torch.device, dtype: torch.dtype, repeats: int = 5) -> float:
    size = 8192 if device.type == "cuda" else 1024
    left = torch.randn(size, size, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        product = left @ left
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    del product
    return 2 * size**3 / best

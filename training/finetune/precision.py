"""Choosing the precision and the number of threads for the hardware."""

import os

import torch

from commentwise.models.cores import available_cores


def mixed_precision(precision: str) -> str:
    """accelerate's name, "no" or "bf16", of a precision: auto, fp32 or bf16. auto is bf16 where the hardware has it."""
    if precision == "auto":
        if torch.cuda.is_available():
            precision = "bf16" if torch.cuda.is_bf16_supported() else "fp32"
        else:
            # On a CPU without these instructions, bf16 is emulated and slower than fp32.
            features: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
            precision = "bf16" if features.get("avx512_bf16") or features.get("amx_bf16") else "fp32"
    return "no" if precision == "fp32" else precision


def use_all_cores() -> None:
    """Divide the machine's cores among its processes. By default, the launcher gives each process one thread."""
    torch.set_num_threads(max(1, available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))

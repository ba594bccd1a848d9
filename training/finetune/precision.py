"""What the hardware at hand is used for: its faster arithmetic, and its cores."""

import os

import torch

from commentwise.models.cores import available_cores


def mixed_precision(precision: str) -> str:
    """What accelerate calls `auto`, `fp32` or `bf16` here; auto is bf16 where the hardware computes in it."""
    if precision == "auto":
        if torch.cuda.is_available():
            precision = "bf16" if torch.cuda.is_bf16_supported() else "fp32"
        else:
            # Without the instructions bf16 on a processor is emulated, and slower than fp32.
            abilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
            precision = "bf16" if abilities.get("avx512_bf16") or abilities.get("amx_bf16") else "fp32"
    return "no" if precision == "fp32" else precision


def use_all_cores() -> None:
    """Divide the machine's cores among its processes: the launcher leaves each of them one."""
    torch.set_num_threads(max(1, available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))

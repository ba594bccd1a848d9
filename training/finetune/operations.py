"""The operations that an encoder needs for a comment."""

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def operations(model: Any, tokens: int) -> int:
    """Multiply-adds of the forward pass over one comment of `tokens` tokens, counted as the model runs.

    Matrix products and attention are counted, which is nearly all.
    """
    device = next(model.parameters()).device
    rows = torch.ones((1, tokens), dtype=torch.long, device=device)
    training = model.training
    model.eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(input_ids=rows, attention_mask=torch.ones_like(rows))
    model.train(training)
    return int(counter.get_total_flops()) // 2

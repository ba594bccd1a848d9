"""The hyperparameters of the loop, the learning rate of each weight at each step, and the moving average."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from commentwise.models.encoders.classifier import Attention


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters of the loop; `BertSettings` describes each field."""

    seed: int
    epochs: int
    step_tokens: int
    device_tokens: int
    learning_rate: float
    schedule: Literal["linear", "cosine"]
    warmup: float
    layer_decay: float
    weight_decay: float
    label_smoothing: float
    ema_decay: float
    patience: int
    max_grad_norm: float
    attention: Attention
    compile: bool
    checkpoint_steps: int


def learning_rate_factor(done: float, warmup: float, schedule: str) -> float:
    """The learning rate as a factor of its peak: a linear warm-up from 0, then a decay to 0.

    `done` is the share of training that is done, and `warmup` the share at which the peak is reached, both from 0 to 1.
    The decay is "linear" or "cosine" (Loshchilov and Hutter 2017, SGDR, without restarts).

    >>> [learning_rate_factor(done, warmup=0.5, schedule="linear") for done in (0, 0.25, 0.5, 0.75, 1)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if done < warmup:
        return done / warmup
    decayed = (done - warmup) / (1 - warmup) if warmup < 1 else 0.0
    return 1 - decayed if schedule == "linear" else 0.5 * (1 + math.cos(math.pi * decayed))


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameter groups for AdamW: weight decay on matrices only, and a lower learning rate in layers near the input.

    Each layer gets `layer_decay` times the rate of the layer above, as in ULMFiT (Howard and Ruder 2018). The key `peak`
    of a group is its peak learning rate.
    """
    depths = {name: _depth(name) for name, _ in model.named_parameters()}
    top = max((depth for depth in depths.values() if depth is not None), default=0) + 1
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, weight in model.named_parameters():
        depth = depths[name]
        rate = recipe.learning_rate * recipe.layer_decay ** (0 if depth is None else top - depth)
        groups.setdefault((rate, recipe.weight_decay if weight.ndim >= 2 else 0.0), []).append(weight)
    return [
        {"params": weights, "lr": rate, "peak": rate, "weight_decay": decay}
        for (rate, decay), weights in groups.items()
    ]


def _depth(name: str) -> int | None:
    """0 for embeddings, 1 for the first layer and so on; None for the head."""
    if match := re.search(r"\blayers?\.(\d+)\.", name):
        return int(match[1]) + 1
    return 0 if "embeddings" in name else None


def _local(weight: Tensor) -> Tensor:
    """This process's shard of a weight, or the weight itself if it is not sharded."""
    return weight.to_local() if isinstance(weight, DTensor) else weight


class EMA:
    """The exponential moving average of a model's weights (Polyak averaging), which is less noisy than the weights."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._weights = [_local(weight.detach()) for weight in model.parameters()]
        self._averages = [weight.clone() for weight in self._weights]
        self._decay = decay

    def update(self, step: int) -> None:
        """Add the weights after `step` (from 0). Early steps decay faster, so that the initial weights soon vanish."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averages, self._weights, 1 - decay)

    def copy(self) -> None:
        """Set the average to the model's current weights."""
        torch._foreach_copy_(self._averages, self._weights)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Use the averaged weights inside the block, and put the model's own weights back after it."""
        own = [weight.clone() for weight in self._weights]
        torch._foreach_copy_(self._weights, self._averages)
        try:
            yield
        finally:
            torch._foreach_copy_(self._weights, own)

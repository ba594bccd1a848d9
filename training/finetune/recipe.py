"""How weights move: which learning rate each gets at each step, and their running average."""

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
    """What the loop needs to know; the fields mean what commentwise.training.settings.BertSettings says."""

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
    """Factor of the peak learning rate when the share `done` of training is done: a linear rise, then a fall to 0."""
    if done < warmup:
        return done / warmup
    fallen = (done - warmup) / (1 - warmup) if warmup < 1 else 0.0
    return 1 - fallen if schedule == "linear" else 0.5 * (1 + math.cos(math.pi * fallen))


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Groups for AdamW: weight decay on matrices only, and a learning rate that shrinks towards the input.

    Layer-wise decay as in ULMFiT (Howard and Ruder 2018): each layer gets `layer_decay` times the rate of the one above.
    `peak` is the group's highest learning rate.
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
    if found := re.search(r"\blayers?\.(\d+)\.", name):
        return int(found[1]) + 1
    return 0 if "embeddings" in name else None


def _own_part(weight: Tensor) -> Tensor:
    """What this process holds of a weight that is sharded over several."""
    return weight.to_local() if isinstance(weight, DTensor) else weight


class Average:
    """The exponential moving average of a model's weights, which wanders less than the weights themselves."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._weights = [_own_part(weight.detach()) for weight in model.parameters()]
        self._averages = [weight.clone() for weight in self._weights]
        self._decay = decay

    def update(self, step: int) -> None:
        """Take in the weights after `step` (from 0); the first steps count more, or the start would linger."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averages, self._weights, 1 - decay)

    def copy(self) -> None:
        """Take the model's weights as the average."""
        torch._foreach_copy_(self._averages, self._weights)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the model has the averaged weights."""
        kept = [weight.clone() for weight in self._weights]
        torch._foreach_copy_(self._weights, self._averages)
        try:
            yield
        finally:
            torch._foreach_copy_(self._weights, kept)

"""The model in training with its optimiser: one step, and its state, on one device or sharded over many."""

from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.nn import functional as F
from transformers import PreTrainedModel

from commentwise.models.encoders.classifier import classifier
from commentwise.training.finetune.batches import MicroBatch
from commentwise.training.finetune.recipe import EMA, Recipe, parameter_groups

FULL = StateDictOptions(full_state_dict=True, cpu_offload=True)
"""Gathers sharded state into whole tensors on the CPU of the first process."""


class Learner:
    """A classifier, its AdamW optimiser and, if the recipe has an `ema_decay`, the moving average of its weights.

    All processes of a run must call the same methods in the same order.
    """

    def __init__(self, accelerator: Accelerator, model: PreTrainedModel, recipe: Recipe) -> None:
        self._accelerator = accelerator
        self._recipe = recipe
        wrapped = classifier(model, recipe.attention)
        if recipe.compile:
            wrapped.compile(dynamic=False)
        optimizer = torch.optim.AdamW(parameter_groups(model, recipe), lr=recipe.learning_rate, fused=True)
        self.model, self.optimizer = accelerator.prepare(wrapped, optimizer)
        self.ema = EMA(self.model, recipe.ema_decay) if recipe.ema_decay else None

    def step(self, batches: list[MicroBatch], number: int, rate_factor: float, mean_comments: float) -> Tensor:
        """Update the weights once with the summed gradients of `batches`; return the loss, a scalar on the device.

        `number` counts the steps of the whole run from 0, `rate_factor` scales the peak learning rate, and
        `mean_comments` is the mean number of comments per step.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate_factor
        torch.manual_seed(self._dropout_seed(number))
        loss = torch.zeros((), device=self._accelerator.device)
        for batch in batches[:-1]:
            with self._accelerator.no_sync(self.model):
                loss += self._backward(batch, mean_comments)
        loss += self._backward(batches[-1], mean_comments)
        self._accelerator.clip_grad_norm_(self.model.parameters(), self._recipe.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.ema:
            self.ema.update(number)
        return loss

    def _backward(self, batch: MicroBatch, mean_comments: float) -> Tensor:
        """Add the gradient of a micro-batch to that of the step; return its share of the loss, detached.

        The loss of a step is the sum over its comments, divided by the mean number of comments per step. So a comment
        has the same weight in every step, and the sum is the same for any number of micro-batches and processes.
        """
        logits = self.model(batch.documents).float()
        losses = F.cross_entropy(logits, batch.targets, label_smoothing=self._recipe.label_smoothing, reduction="none")
        loss = (losses * batch.weights).sum() / mean_comments
        # Data parallelism averages the gradients of the processes, and this is a sum.
        self._accelerator.backward(loss * self._accelerator.num_processes)
        return loss.detach()

    def _dropout_seed(self, number: int) -> int:
        state = np.random.SeedSequence((self._recipe.seed, number, self._accelerator.process_index))
        return int(state.generate_state(1, np.uint64)[0] >> np.uint64(1))

    def leave_mixed_precision(self) -> None:
        """Predict in fp32 from now on, as the saved model will."""
        self.model = self._accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)

    def weights(self) -> dict[str, Any]:
        """All weights by name, on the CPU of the first process."""
        return dict(get_model_state_dict(self.model, options=FULL))

    def encoder_weights(self) -> dict[str, Tensor]:
        """`weights` under the names that transformers saves them with."""
        return {name.removeprefix("model."): weight for name, weight in self.weights().items()}

    def load_weights(self, weights: dict[str, Any]) -> None:
        """Set the weights to those that the first process passes; the other processes pass an empty dict."""
        set_model_state_dict(self.model, weights, options=self._from_first_process())

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on: the keys model, optimizer and, with a moving average, ema."""
        state = {
            "model": self.weights(),
            "optimizer": get_optimizer_state_dict(self.model, self.optimizer.optimizer, options=FULL),
        }
        if self.ema:
            with self.ema.applied():
                state["ema"] = {name: weight.clone() for name, weight in self.weights().items()}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict` that the first process passes; the other processes pass an empty dict."""
        if self.ema:
            self.load_weights(state.get("ema", {}))
            self.ema.copy()
        self.load_weights(state.get("model", {}))
        set_optimizer_state_dict(
            self.model, self.optimizer.optimizer, state.get("optimizer", {}), options=self._from_first_process()
        )

    def _from_first_process(self) -> StateDictOptions:
        return StateDictOptions(full_state_dict=True, broadcast_from_rank0=self._accelerator.num_processes > 1)

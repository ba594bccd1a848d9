"""A small training run in its own process: `python -m tests.training.finetune.loop_run FOLDER [NAME=VALUE…]`.

Prints each row of the history as JSON, writes the weights to FOLDER/weights.pt and can resume from FOLDER/run.pt.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch.distributed.fsdp import fully_shard
from transformers import BertConfig, BertForSequenceClassification

from commentwise.errors import run_command
from commentwise.training.finetune.batches import Examples
from commentwise.training.finetune.checkpoints import Checkpoints
from commentwise.training.finetune.loop import Row, Trainer, end_processes
from commentwise.training.finetune.recipe import Recipe

DEFAULTS = {
    "seed": 3,
    "epochs": 2,
    "step_tokens": 120,
    "device_tokens": 4000,
    "learning_rate": 1e-3,
    "schedule": "linear",
    "warmup": 0.1,
    "layer_decay": 0.9,
    "weight_decay": 0.01,
    "label_smoothing": 0.1,
    "ema_decay": 0.0,
    "patience": 0,
    "max_grad_norm": 1.0,
    "attention": "auto",
    "compile": False,
    "checkpoint_steps": 7,
}


class Sharding(Accelerator):  # type: ignore[misc]
    """Shards the weights and the optimiser on CPUs; accelerate supports FSDP on GPUs only."""

    def prepare(self, *args: Any, **options: Any) -> Any:
        model, optimizer = args
        names = {weight: name for name, weight in model.named_parameters()}
        groups = [[names[weight] for weight in group["params"]] for group in optimizer.param_groups]
        fully_shard(model)
        sharded = dict(model.named_parameters())
        for group, group_names in zip(optimizer.param_groups, groups, strict=True):
            group["params"] = [sharded[name] for name in group_names]
        return model, self.prepare_optimizer(optimizer)


def recipe(**changes: object) -> Recipe:
    return Recipe(**{**DEFAULTS, **changes})  # type: ignore[arg-type]


def model(dropout: float = 0.1) -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=100,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        num_labels=3,
    )
    return BertForSequenceClassification(config)


def examples(count: int, seed: int = 0) -> Examples:
    """Comments of 3 to 40 tokens whose first token determines the label."""
    rng = np.random.default_rng(seed)
    rows = [rng.integers(5, 100, size=rng.integers(3, 40)).tolist() for _ in range(count)]
    targets = np.array([row[0] % 3 for row in rows])
    weights = np.where(targets == 0, 2.0, 1.0).astype(np.float32)
    return Examples(rows, targets, weights / weights.mean(), [f"c{number}" for number in range(count)])


def trainer(
    folder: Path,
    watch: Callable[[Row], None] = lambda row: None,
    dropout: float = 0.0,
    shard: bool = False,
    **changes: object,
) -> Trainer:
    """A trainer that can resume from `folder`."""
    return Trainer(
        (Sharding if shard else Accelerator)(cpu=True, mixed_precision="no"),
        model(dropout),
        recipe(**changes),
        examples(101),
        examples(31, seed=1),
        watch,
        Checkpoints(folder / "run.pt", "test"),
    )


def main() -> None:
    folder, *changes = sys.argv[1:]
    options = {name: json.loads(value) for name, value in (change.split("=") for change in changes)}
    hold = options.pop("hold", float("inf"))

    def watch(row: Row) -> None:
        accelerator.print(json.dumps(row), flush=True)
        if row["step"] >= hold:
            sys.stdin.read()  # blocks until the test kills this process

    run = trainer(Path(folder), watch, **options)
    accelerator = run.accelerator
    accelerator.print(f"processes: {accelerator.num_processes}", flush=True)
    run.fit()
    run.learner.leave_mixed_precision()
    weights = run.learner.weights()
    if accelerator.is_main_process:
        torch.save(weights, Path(folder) / "weights.pt")
    del run, weights
    end_processes(accelerator)


if __name__ == "__main__":
    run_command(main)

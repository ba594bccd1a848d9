"""The contenders: our loop, and transformers' Trainer with its defaults and tuned.

To add a contender: write a function that takes a Task and Options and returns the function that trains, and add it to
CONTENDERS.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers
from accelerate import Accelerator
from torch.utils.data import Dataset
from transformers import TrainingArguments

from benchmarks.training.tasks import MAX_TOKENS, SEED, Comments, Task
from commentwise.training.finetune.batches import Examples
from commentwise.training.finetune.loop import Trainer
from commentwise.training.finetune.recipe import Recipe


@dataclass(frozen=True)
class Options:
    """Options that all contenders share."""

    step_tokens: int
    learning_rate: float
    precision: str
    compile: bool


Train = Callable[[], None]


def ours(task: Task, options: Options) -> Train:
    """Our loop, whose steps and batches are budgets of tokens; it keeps the best epoch."""
    recipe = Recipe(
        seed=SEED,
        epochs=task.epochs,
        step_tokens=options.step_tokens,
        device_tokens=max(options.step_tokens, 16384),
        learning_rate=options.learning_rate,
        schedule="linear",
        warmup=0.0,
        layer_decay=1.0,
        weight_decay=0.0,
        label_smoothing=0.0,
        ema_decay=0.0,
        patience=0,
        max_grad_norm=1.0,
        attention="auto",
        compile=options.compile,
        checkpoint_steps=10**9,
    )
    accelerator = Accelerator(mixed_precision=options.precision)
    return Trainer(accelerator, task.model, recipe, _examples(task.train), _examples(task.validation)).fit


def _examples(comments: Comments) -> Examples:
    count = len(comments.rows)
    return Examples(
        comments.rows, comments.targets, np.ones(count, dtype=np.float32), [str(number) for number in range(count)]
    )


def defaults(task: Task, options: Options) -> Train:
    """transformers' Trainer as its documentation introduces it: every comment padded to the maximum length."""
    return _trainer(task, options, pad=True)


def tuned(task: Task, options: Options) -> Train:
    """The same with the options its documentation advises for speed: dynamic padding, batches by length, fused AdamW, bf16."""
    known = TrainingArguments.__dataclass_fields__
    by_length = (
        {"group_by_length": True} if "group_by_length" in known else {"train_sampling_strategy": "group_by_length"}
    )
    fast = {"optim": "adamw_torch_fused", "bf16": options.precision == "bf16", "torch_compile": options.compile}
    return _trainer(task, options, pad=False, **fast, **by_length)


CONTENDERS: dict[str, Callable[[Task, Options], Train]] = {
    "commentwise": ours,
    "trainer, defaults": defaults,
    "trainer, tuned": tuned,
}


def _trainer(task: Task, options: Options, pad: bool, **more: Any) -> Train:
    arguments: dict[str, Any] = {
        "output_dir": tempfile.mkdtemp(prefix="benchmark-"),
        "num_train_epochs": task.epochs,
        "per_device_train_batch_size": max(1, round(options.step_tokens / task.train.lengths.mean())),
        "per_device_eval_batch_size": 64,
        "learning_rate": options.learning_rate,
        "eval_strategy": "epoch",
        "use_cpu": not torch.cuda.is_available(),
        "seed": SEED,
        "report_to": [],
        "save_strategy": "no",
        "disable_tqdm": True,
        "logging_strategy": "no",
        **more,
    }
    trainer = transformers.Trainer(
        task.model,
        TrainingArguments(**arguments),
        train_dataset=_Rows(task.train, pad),
        eval_dataset=_Rows(task.validation, pad),
        data_collator=_collate,
    )

    def train() -> None:
        trainer.train()

    return train


class _Rows(Dataset[dict[str, Any]]):
    def __init__(self, comments: Comments, pad: bool) -> None:
        self._comments = comments
        self._pad = pad

    def __len__(self) -> int:
        return len(self._comments.rows)

    def __getitem__(self, number: int) -> dict[str, Any]:
        row = self._comments.rows[number]
        padding = (MAX_TOKENS - len(row)) * self._pad
        mask = [1] * len(row) + [0] * padding
        return {"input_ids": row + [0] * padding, "attention_mask": mask, "labels": int(self._comments.targets[number])}


def _collate(examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    width = max(len(example["input_ids"]) for example in examples)
    return {
        "labels": torch.tensor([example["labels"] for example in examples]),
        **{
            name: torch.tensor([example[name] + [0] * (width - len(example[name])) for example in examples])
            for name in ("input_ids", "attention_mask")
        },
    }

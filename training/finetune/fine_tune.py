"""Fine-tuning an encoder on a task, from its checkpoint to a candidate folder."""

import hashlib
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from accelerate import Accelerator
from accelerate.utils import set_seed

from commentwise.fileio import atomic_folder
from commentwise.models.checkpoint import resolve_checkpoint, tokenizer_json
from commentwise.models.encoders.loading import check_inputs, load_encoder, set_dropout
from commentwise.models.tokens import encode, tokenizer_from_text
from commentwise.training.candidate import ENCODER, Part, write_results
from commentwise.training.families.family import COMMENT_TOKENS, Task
from commentwise.training.finetune.batches import Examples
from commentwise.training.finetune.checkpoints import Checkpoints
from commentwise.training.finetune.encoded import EncodedComments, encoded
from commentwise.training.finetune.export_check import check_export
from commentwise.training.finetune.loop import SPEEDS, Progress, Row, Trainer
from commentwise.training.finetune.operations import operations
from commentwise.training.finetune.progress import console
from commentwise.training.finetune.recipe import Recipe
from commentwise.training.finetune.settings import BertSettings
from commentwise.training.project import HELD_OUT
from commentwise.training.provenance import folder_md5


def fine_tune(
    accelerator: Accelerator,
    task: Task,
    settings: BertSettings,
    out: Path,
    on_row: Callable[[Row], None] | None = None,
) -> dict[str, Any]:
    """Fine-tune, keep the epoch with the best validation macro-F1, and write the candidate to `out`.

    Returns the candidate's metrics. `on_row` is called with each row of the history. An interrupted run resumes when
    this is called again with the same arguments. Raises CommentwiseError when the data or the checkpoint cannot be
    used, the architecture cannot be exported, or the loss is no longer finite.
    """
    set_seed(task.seed)
    tokenizer_text = tokenizer_json(settings.checkpoint)
    checkpoint = resolve_checkpoint(settings.checkpoint)
    model = load_encoder(checkpoint, task.labels)
    long, short = encode(
        tokenizer_from_text(tokenizer_text, task.max_tokens), ["a video " * task.max_tokens, "a video"]
    )
    check_inputs(model, settings.checkpoint, long, short)
    if unchecked := check_export(model, settings.checkpoint, [long, short]):
        accelerator.print(f"train@bert: {unchecked}")
    examples = _examples_by_part(accelerator, task, tokenizer_text, settings.class_weights)
    if settings.dropout is not None:
        set_dropout(model, settings.dropout)
    recipe = _recipe(task, settings)
    checkpoints = Checkpoints(
        task.build / "checkpoints" / f"{out.name}.pt",
        _identity(task, recipe, model, examples),
        os.environ.get("COMMENTWISE_CHECKPOINTS", ""),
    )
    with (
        atomic_folder(out) if accelerator.is_main_process else nullcontext(out) as folder,
        console(
            "train@bert", len(examples["train"].rows) * settings.epochs, settings.epochs, accelerator.is_main_process
        ) as show,
    ):

        def watch(row: Row) -> None:
            show(row)
            if on_row:
                on_row(row)

        trainer = Trainer(accelerator, model, recipe, examples["train"], examples["validation"], watch, checkpoints)
        trainer.fit()
        trainer.learner.leave_mixed_precision()
        logits = {name: trainer.logits(examples[name]) for name in HELD_OUT}
        progress, weights = trainer.progress, trainer.learner.encoder_weights()
        facts: dict[str, Any] = {"family": "bert", "chosen": {"epoch": progress.best_epoch}}
        if not accelerator.is_main_process:
            return {**facts, "validation_macro_f1": progress.best_score}
        model.save_pretrained(folder / ENCODER, state_dict=weights)
        # Also beside the weights, so that the encoder's folder is a complete checkpoint for another run.
        for parent in (folder, folder / ENCODER):
            (parent / "tokenizer.json").write_text(tokenizer_text, encoding="utf-8")
        facts |= {
            "checkpoint_md5": folder_md5(checkpoint),
            "parameters": sum(weight.numel() for weight in model.parameters()),
            "operations": operations(load_encoder(folder / ENCODER, task.labels), COMMENT_TOKENS),
        }
        history = [{name: value for name, value in row.items() if name not in SPEEDS} for row in progress.history]
        metrics = write_results(folder, task.parts, logits, facts, history)
    checkpoints.clear()
    return metrics


def _examples_by_part(accelerator: Accelerator, task: Task, tokenizer_text: str, power: float) -> dict[str, Examples]:
    """The examples of each part. The first process of a machine fills the cache of token ids, the others read it."""
    with accelerator.local_main_process_first():
        rows = {
            name: encoded(task.build / "tokens", tokenizer_text, task.max_tokens, part.texts)
            for name, part in task.parts.items()
        }
    return {name: _examples(part, rows[name], power) for name, part in task.parts.items()}


def _recipe(task: Task, settings: BertSettings) -> Recipe:
    values = settings.model_dump() | {"seed": task.seed}
    return Recipe(**{field.name: values[field.name] for field in fields(Recipe)})


def _examples(part: Part, rows: EncodedComments, power: float) -> Examples:
    """The part as examples. Weights are the frequency of the label to the power of minus `power`, scaled to mean 1."""
    counts = np.bincount(part.targets, minlength=len(part.labels))
    weights = (len(part.targets) / counts.clip(min=1)) ** power
    weights = weights[part.targets]
    return Examples(
        rows, part.targets, (weights / weights.mean()).astype(np.float32), part.table["comment_id"].tolist()
    )


def _identity(task: Task, recipe: Recipe, model: torch.nn.Module, examples: dict[str, Examples]) -> str:
    """A digest of everything that the trained weights depend on, and of the fields that a checkpoint has."""
    digest = hashlib.sha256(f"{torch.__version__} {transformers.__version__} {task.labels}".encode())
    digest.update(repr(recipe).encode())
    digest.update(repr([field.name for field in fields(Progress)]).encode())
    for name in ("train", "validation"):
        part = examples[name]
        for array in (part.lengths, part.targets, part.weights, np.concatenate([np.asarray(row) for row in part.rows])):
            digest.update(np.ascontiguousarray(array).tobytes())
    for weight in model.state_dict().values():
        digest.update(weight.numpy().tobytes())
    return digest.hexdigest()

"""Adapt an encoder to the language of your comments before fine-tuning, by masked-language-model training.

  commentwise adapt --out build/adapted
  dvc exp run -S families.bert.checkpoint=build/adapted

For several GPUs: accelerate launch -m commentwise.training.studies.adapt --out build/adapted

The comments are the training part and the unlabelled comments of data/prepared, or those of the files that you name (read
like data.path, with the same text column). The result is a checkpoint like those on the hub. Run the same command again to
resume an interrupted run.

15% of the tokens are masked as in BERT (Devlin et al. 2019, https://arxiv.org/abs/1810.04805), others in each epoch.
"""

import argparse
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Read when torch is imported. Idle threads should sleep: spinning threads starve others on a shared machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pandas as pd
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch.utils.data import Dataset
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint
from transformers.utils import logging

from commentwise.comments.normalize import normalize
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import atomic_folder
from commentwise.models.checkpoint import resolve_checkpoint, tokenizer_json
from commentwise.training.data.sources import read_rows
from commentwise.training.families.bert import BERT
from commentwise.training.finetune.encoded import encoded
from commentwise.training.finetune.interrupt import Interrupt
from commentwise.training.finetune.precision import mixed_precision, use_all_cores
from commentwise.training.project import Project
from commentwise.training.settings import Settings, load_settings

MASKED = 0.15
SIGNAL_STEPS = 10
"""Steps between two checks whether any process received a signal."""


def main() -> None:
    """Adapt a checkpoint, by default that of params.yaml, and write the result to a folder."""
    project = Project()
    parser = argparse.ArgumentParser(
        prog="commentwise adapt",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("comments", nargs="*", type=Path, help="files with comments (default: those of data/prepared)")
    parser.add_argument("--checkpoint", help="checkpoint to adapt (default: that of params.yaml)")
    parser.add_argument(
        "--out",
        type=Path,
        default=project.build / "adapted",
        help="folder of the adapted checkpoint (default: %(default)s)",
    )
    parser.add_argument("--epochs", type=int, default=1, help="passes over the comments (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="comments per step and device (default: %(default)s)")
    parser.add_argument("--learning-rate", type=float, default=1e-4, help="peak learning rate (default: %(default)s)")
    arguments = parser.parse_args()
    if min(arguments.epochs, arguments.batch) < 1 or arguments.learning_rate <= 0:
        raise CommentwiseError("--epochs and --batch must be 1 or more, and --learning-rate above 0")
    settings = load_settings(project.params)
    arguments.checkpoint = arguments.checkpoint or settings.checkpoint
    texts = [text for path in arguments.comments for text in _file_texts(path, settings)] or _prepared_texts(project)
    adapt(project.build, texts, settings, arguments)


def adapt(build: Path, texts: Sequence[str], settings: Settings, arguments: argparse.Namespace) -> None:
    """Train on the normalised `texts` and write the checkpoint to arguments.out; `build` is for caches and checkpoints."""
    logging.set_verbosity_error()  # no warning about the new masked-language head
    set_seed(settings.seed)
    use_all_cores()
    folder = resolve_checkpoint(arguments.checkpoint)
    tokenizer_text = tokenizer_json(arguments.checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.mask_token is None:
        raise CommentwiseError(
            f"checkpoint {arguments.checkpoint!r}: its tokenizer has no mask token; choose an encoder"
        )
    model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32)
    # The first process fills the cache, the others read it.
    with PartialState(cpu=not torch.cuda.is_available()).local_main_process_first():
        rows = encoded(build / "tokens", tokenizer_text, settings.max_tokens, texts)
    state = build / "adapt" / _key(tokenizer_text, texts, settings, arguments)
    trainer = Trainer(
        model,
        _training_arguments(state, settings, arguments),
        train_dataset=_Rows(rows),
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=MASKED, pad_to_multiple_of=8),
    )
    with Interrupt() as interrupt:
        trainer.add_callback(_StopOnSignal(interrupt))
        checkpoint = get_last_checkpoint(str(state)) if state.is_dir() else None
        trainer.train(resume_from_checkpoint=checkpoint)
        if interrupt.signal:
            interrupt.stop(interrupt.signal)
    if trainer.is_world_process_zero():
        with atomic_folder(arguments.out) as new:
            _encoder(folder, model).save_pretrained(new)
            tokenizer.save_pretrained(new)
            (new / "tokenizer.json").write_text(tokenizer_text, encoding="utf-8")
        shutil.rmtree(state, ignore_errors=True)
        print(f"adapt: {arguments.epochs} epochs over {len(texts):,} comments; the checkpoint is in {arguments.out}")


def _training_arguments(state: Path, settings: Settings, arguments: argparse.Namespace) -> TrainingArguments:
    precision = mixed_precision(settings.of(BERT).precision)
    # transformers 5 renamed the option.
    fields = TrainingArguments.__dataclass_fields__
    by_length = (
        {"group_by_length": True} if "group_by_length" in fields else {"train_sampling_strategy": "group_by_length"}
    )
    options: dict[str, Any] = {
        "output_dir": str(state),
        "num_train_epochs": arguments.epochs,
        "per_device_train_batch_size": arguments.batch,
        "learning_rate": arguments.learning_rate,
        "warmup_steps": 100,
        "lr_scheduler_type": "linear",
        "weight_decay": 0.01,
        "optim": "adamw_torch_fused",
        "bf16": precision == "bf16",
        "use_cpu": not torch.cuda.is_available(),
        "seed": settings.seed,
        "save_steps": settings.of(BERT).checkpoint_steps,
        "save_total_limit": 1,
        "logging_steps": 50,
        "report_to": [],
        **by_length,
    }
    return TrainingArguments(**options)


class _Rows(Dataset[dict[str, Any]]):
    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {"input_ids": self._rows[row].tolist()}


class _StopOnSignal(TrainerCallback):
    """Saves and stops after the step in which a signal was received."""

    def __init__(self, interrupt: Interrupt) -> None:
        self._interrupt = interrupt

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        signal = self._interrupt.signal
        if args.world_size > 1:  # processes receive it in different steps, and must stop after the same one
            signal = max(gather_object([signal])) if state.global_step % SIGNAL_STEPS == 0 else 0
        if signal:
            self._interrupt.signal = signal
            control.should_save = control.should_training_stop = True


def _encoder(folder: Path, trained: PreTrainedModel) -> PreTrainedModel:
    """The checkpoint's encoder with the trained weights. Its pooler is unchanged, because this training does not use it."""
    encoder: PreTrainedModel = AutoModel.from_pretrained(folder, dtype=torch.float32)
    encoder.load_state_dict(trained.base_model.state_dict(), strict=False)
    return encoder


def _key(tokenizer_text: str, texts: Sequence[str], settings: Settings, arguments: argparse.Namespace) -> str:
    """A digest of everything that the result depends on."""
    options = (arguments.checkpoint, arguments.epochs, arguments.batch, arguments.learning_rate)
    digest = hashlib.sha256(repr((settings.seed, settings.max_tokens, options, tokenizer_text)).encode())
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:16]


def _prepared_texts(project: Project) -> list[str]:
    """The training part and the unlabelled comments, without those of the held-out parts."""
    files = [path for path in (project.part("train"), project.unlabelled) if path.is_file()]
    if not files:
        raise CommentwiseError(f"{project.prepared} has no comments: run `dvc repro prepare`, or name files")
    return [text for path in files for text in pd.read_parquet(path)["text"]]


def _file_texts(path: Path, settings: Settings) -> list[str]:
    data = settings.data.model_copy(update={"path": str(path), "hub": None})
    texts = [normalize(row[data.columns.text] or "") for row in read_rows(data) if data.columns.text in row]
    if not (texts := [text for text in texts if text]):
        raise CommentwiseError(f"{path} has no comments in a column {data.columns.text!r}: set data.columns.text")
    return texts


if __name__ == "__main__":
    run_command(main)

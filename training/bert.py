"""Stage train@bert: fine-tune an encoder on the prepared comments.

Runs in the repository's root, under DVC or by itself:

  accelerate launch --config_file accelerate_config.yaml -m training.bert
  accelerate launch -m training.bert --checkpoint google-bert/bert-base-uncased --epochs 2 --out /tmp/bert-base

Settings come from params.yaml (section families.bert); each can be overridden by the flag of its name.
"""

import argparse
import json
import math
import os
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

# Read when torch is loaded: threads that wait should sleep. Spinning ones starve each other on a shared machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, set_seed
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, get_linear_schedule_with_warmup

from models.checkpoint import resolve_checkpoint, tokenizer_json
from models.encoder import load_encoder
from models.engine import available_cores
from models.errors import CommentwiseError, run_command
from models.files import atomic_folder
from models.probabilities import softmax
from models.tokens import encode, tokenizer_from_text
from training.batches import EncodedComments, LengthBuckets, collate
from training.candidate import ENCODER, HELD_OUT, Part, read_part, write_results
from training.layout import CANDIDATES, PARTS, PREPARED
from training.metrics import Probabilities, macro_f1
from training.provenance import folder_md5
from training.resources import Stopwatch, processor_name
from training.settings import PARAMS, BertSettings, Settings, parse_settings, read_params
from training.tracking import LiveRun, live_run

LOG_EVERY = 10
EVALUATION_BATCH = 64


def main() -> None:
    """Train with the settings of params.yaml and the command line."""
    arguments = _parser().parse_args()
    settings = _settings(arguments)
    options = settings.families.bert
    accelerator = Accelerator(
        mixed_precision=_mixed_precision(options.precision),
        dataloader_config=DataLoaderConfiguration(split_batches=True),  # batch_size is that of all processes together
    )
    if accelerator.device.type == "cpu":
        # The launcher leaves each process one thread; together the processes of a machine may have all cores.
        torch.set_num_threads(max(1, available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
    tracked = arguments.track and accelerator.is_main_process
    with live_run("bert", settings) if tracked else nullcontext() as run:
        facts = train(accelerator, settings, arguments.data, arguments.out, run)
        if run:
            run.belongs_to(folder_md5(arguments.out))
    accelerator.print(
        f"train@bert: validation macro-F1 {facts['validation_macro_f1']:.3f} after epoch {facts['chosen']['epoch']} of {options.epochs}"
    )
    accelerator.end_training()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "accelerate launch -m training.bert", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--params", type=Path, default=PARAMS, help="settings file (default: params.yaml)")
    parser.add_argument(
        "--data",
        type=Path,
        default=PREPARED,
        help="folder with train, validation and test.parquet (default: data/prepared)",
    )
    parser.add_argument(
        "--out", type=Path, default=CANDIDATES / "bert", help="folder to write (default: artifacts/candidates/bert)"
    )
    parser.add_argument("--no-track", dest="track", action="store_false", help="leave MLflow out of it")
    overrides = parser.add_argument_group("settings (default: those of params.yaml)")
    for name, field in BertSettings.model_fields.items():
        overrides.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar="VALUE", help=field.description)
    return parser


def _settings(arguments: argparse.Namespace) -> Settings:
    content = read_params(arguments.params)
    given = {name: value for name in BertSettings.model_fields if (value := getattr(arguments, name)) is not None}
    content.setdefault("families", {}).setdefault("bert", {}).update(given)
    return parse_settings(content, arguments.params)


def _mixed_precision(precision: str) -> str:
    if precision == "auto":
        if torch.cuda.is_available():
            precision = "bf16" if torch.cuda.is_bf16_supported() else "fp32"
        else:
            # Without the instructions bf16 on a processor is emulated, and slower than fp32.
            abilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
            precision = "bf16" if abilities.get("avx512_bf16") or abilities.get("amx_bf16") else "fp32"
    return "no" if precision == "fp32" else precision


def train(accelerator: Accelerator, settings: Settings, data: Path, out: Path, run: LiveRun | None) -> dict[str, Any]:
    """Fine-tune on `data`, keep the epoch with the best validation macro-F1, write the candidate to `out`.

    Returns the candidate's metrics. Raises CommentwiseError when the data or the checkpoint cannot be used, or the
    loss is no longer finite.
    """
    stopwatch = Stopwatch()
    options = settings.families.bert
    set_seed(settings.seed)
    parts = {name: read_part(name, settings.labels, data) for name in PARTS}
    with atomic_folder(out) if accelerator.is_main_process else nullcontext(out) as folder:
        tokenizer_text = tokenizer_json(options.checkpoint)
        if accelerator.is_main_process:
            (folder / "tokenizer.json").write_text(tokenizer_text, encoding="utf-8")
        tokenizer = tokenizer_from_text(tokenizer_text, settings.max_tokens)
        rows = {name: encode(tokenizer, part.texts) for name, part in parts.items()}
        model = load_encoder(resolve_checkpoint(options.checkpoint), settings.labels)
        trainer = Trainer(accelerator, model, options, settings.seed, run)
        trainer.fit(rows["train"], parts["train"], rows["validation"], parts["validation"])
        trainer.leave_mixed_precision()
        probabilities = {name: trainer.probabilities(rows[name]) for name in HELD_OUT}
        if not accelerator.is_main_process:
            return {"chosen": {"epoch": trainer.best_epoch}, "validation_macro_f1": trainer.best_score}
        best = trainer.model
        best.save_pretrained(folder / ENCODER)
        facts = {
            "family": "bert",
            "chosen": {"epoch": trainer.best_epoch},
            "parameters": sum(weight.numel() for weight in best.parameters()),
        }
        used = stopwatch.resources(_device_name(accelerator.device), _peak_device_bytes(accelerator.device))
        write_results(folder, parts, probabilities, facts, trainer.history, used)
        return dict(json.loads((folder / "metrics.json").read_text(encoding="utf-8")))


class Trainer:
    """The loop: one model, its optimiser, and what happened so far."""

    def __init__(
        self, accelerator: Accelerator, model: PreTrainedModel, options: BertSettings, seed: int, run: LiveRun | None
    ) -> None:
        self.accelerator = accelerator
        self.options = options
        self.seed = seed
        self.run = run
        self.history: list[dict[str, Any]] = []
        self.best_epoch = 0
        self.best_score = -1.0
        self._pad_id = int(model.config.pad_token_id or 0)
        self._labels = int(model.config.num_labels)
        optimizer = torch.optim.AdamW(_parameter_groups(model, options.weight_decay), lr=options.learning_rate)
        self.model, self.optimizer = accelerator.prepare(model, optimizer)

    def fit(self, rows: list[list[int]], part: Part, validation_rows: list[list[int]], validation: Part) -> None:
        """Train for all epochs and leave the model with the weights of the best one."""
        options = self.options
        batches = LengthBuckets([len(row) for row in rows], options.batch_size, self.seed)
        loader = self._loader(rows, part.true.tolist(), batch_sampler=batches)
        steps = len(loader) * options.epochs
        schedule = get_linear_schedule_with_warmup(self.optimizer, round(steps * options.warmup), steps)
        weights = _class_weights(part, self.accelerator.device) if options.class_weights else None
        best: dict[str, Tensor] = {}
        with _progress(self.accelerator) as progress:
            task = progress.add_task("train@bert", total=len(rows) * options.epochs, loss=math.nan, rate=0.0)
            stopwatch = Stopwatch()
            step = seen = 0
            for epoch in range(1, options.epochs + 1):
                batches.set_epoch(epoch)
                self.model.train()
                for batch in loader:
                    loss = self._step(batch, weights)
                    schedule.step()
                    step += 1
                    seen = min(seen + options.batch_size, len(rows) * epoch)
                    if step % LOG_EVERY == 0 or step == steps:
                        rate = seen / stopwatch.seconds
                        self._log(step, epoch, float(loss), schedule.get_last_lr()[0], rate)
                        progress.update(task, completed=seen, loss=float(loss), rate=rate)
                score = macro_f1(validation.true, self.probabilities(validation_rows).argmax(axis=1), self._labels)
                self._record({"step": step, "epoch": epoch, "validation_macro_f1": score})
                self.accelerator.print(
                    f"epoch {epoch} of {options.epochs}: validation macro-F1 {score:.4f}, {seen / stopwatch.seconds:.0f} comments/s",
                    flush=True,
                )
                if score > self.best_score:
                    self.best_epoch, self.best_score = epoch, score
                    best = {name: weight.detach().cpu().clone() for name, weight in self.model.state_dict().items()}
        self.model.load_state_dict(best)

    def leave_mixed_precision(self) -> None:
        """Predict in fp32 from here on, as the saved weights will be used."""
        self.model = self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)

    @torch.no_grad()
    def probabilities(self, rows: list[list[int]]) -> Probabilities:
        """Probabilities of shape (rows, labels), in the order of `rows`."""
        self.model.eval()
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        logits = np.zeros((len(rows), self._labels))
        # Each comment carries its row number, so that neither order nor repeats (to even out processes) matter.
        for batch in self._loader([rows[number] for number in order], order, batch_size=EVALUATION_BATCH):
            numbers = batch.pop("labels")
            numbers, answers = self.accelerator.gather((numbers, self.model(**batch).logits.float()))
            logits[numbers.cpu().numpy()] = answers.cpu().numpy()
        return softmax(logits)

    def _step(self, batch: dict[str, Tensor], weights: Tensor | None) -> Tensor:
        true = batch.pop("labels")
        logits = self.model(**batch).logits.float()
        loss = torch.nn.functional.cross_entropy(logits, true, weight=weights, reduction="none").mean()
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.model.parameters(), self.options.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()

    def _loader(self, rows: list[list[int]], true: list[int], **batching: Any) -> Any:
        pad = partial(collate, pad_id=self._pad_id)
        return self.accelerator.prepare(DataLoader(EncodedComments(rows, true), collate_fn=pad, **batching))

    def _log(self, step: int, epoch: int, loss: float, learning_rate: float, rate: float) -> None:
        if not math.isfinite(loss):
            raise CommentwiseError(
                f"the loss is {loss} at step {step} (learning rate {learning_rate:.2e}): lower families.bert.learning_rate, or set precision to fp32"
            )
        self._record(
            {"step": step, "epoch": epoch, "loss": loss, "lr": learning_rate, "examples_per_second": round(rate, 1)}
        )

    def _record(self, values: dict[str, Any]) -> None:
        self.history.append(values)
        if self.run:
            self.run.log({name: value for name, value in values.items() if name != "step"}, step=values["step"])


def _parameter_groups(model: PreTrainedModel, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay pulls matrices towards zero; biases and normalisation weights are left alone."""
    matrices = [weight for weight in model.parameters() if weight.ndim >= 2]
    vectors = [weight for weight in model.parameters() if weight.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def _class_weights(part: Part, device: torch.device) -> Tensor:
    """Inverse frequencies, scaled so that the mean weight of a comment is 1; shape (labels,)."""
    counts = np.bincount(part.true, minlength=len(part.labels))
    return torch.tensor(len(part.true) / (len(part.labels) * counts), dtype=torch.float32, device=device)


def _progress(accelerator: Accelerator) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}, {task.fields[rate]:.0f} comments/s,"),
        TimeRemainingColumn(),
        disable=not accelerator.is_main_process,
    )


def _device_name(device: torch.device) -> str:
    return (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{processor_name()}, {torch.get_num_threads()} threads"
    )


def _peak_device_bytes(device: torch.device) -> int | None:
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else None


if __name__ == "__main__":
    run_command(main)

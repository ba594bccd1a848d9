"""Stage train@bert: fine-tune an encoder on the prepared comments.

Runs in the repository's root, under DVC or by itself:

  accelerate launch --config_file accelerate_config.yaml -m commentwise.training.bert
  accelerate launch -m commentwise.training.bert --checkpoint google-bert/bert-base-uncased --epochs 2 --out /tmp/bert-base

Settings come from params.yaml (section families.bert); each can be overridden by the flag of its name. An interrupted
run goes on where it was when the same command is given again.
"""

import argparse
import hashlib
import json
import os
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

# Read when torch is loaded: threads that wait should sleep. Spinning ones starve each other on a shared machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
import transformers
from accelerate import Accelerator
from accelerate.utils import set_seed

from commentwise.errors import run_command
from commentwise.fileio import atomic_folder
from commentwise.models.checkpoint import resolve_checkpoint, tokenizer_json
from commentwise.models.encoders.loading import load_encoder, set_dropout
from commentwise.training.candidate import ENCODER, HELD_OUT, Part, read_part, write_results
from commentwise.training.finetune.batches import Examples
from commentwise.training.finetune.checkpoints import Checkpoints
from commentwise.training.finetune.encoded import EncodedComments, encoded
from commentwise.training.finetune.loop import Row, Trainer, end_processes
from commentwise.training.finetune.precision import mixed_precision, use_all_cores
from commentwise.training.finetune.progress import console
from commentwise.training.finetune.recipe import Recipe
from commentwise.training.project import CANDIDATES, PARTS, PREPARED
from commentwise.training.provenance import folder_md5
from commentwise.training.registry.tracking import LiveRun, live_run
from commentwise.training.resources import Stopwatch, processor_name
from commentwise.training.settings import PARAMS, BertSettings, Settings, parse_settings, read_params

CHECKPOINTS = Path("build/checkpoints")


def main() -> None:
    """Train with the settings of params.yaml and the command line."""
    stopwatch = Stopwatch()
    arguments = _parser().parse_args()
    settings = _settings(arguments)
    options = settings.families.bert
    accelerator = Accelerator(mixed_precision=mixed_precision(options.precision))
    if accelerator.device.type == "cpu":
        use_all_cores()
    tracked = arguments.track and accelerator.is_main_process
    with live_run("bert", settings, arguments.parent_run) if tracked else nullcontext() as run:
        facts = train(accelerator, settings, arguments.data, arguments.out, run)
        if run:
            run.belongs_to(folder_md5(arguments.out))
    accelerator.print(
        f"train@bert: validation macro-F1 {facts['validation_macro_f1']:.3f} after epoch {facts['chosen']['epoch']} of {options.epochs}, "
        f"in {stopwatch.seconds:.0f} s"
    )
    end_processes(accelerator)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "accelerate launch -m commentwise.training.bert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
    parser.add_argument("--parent-run", metavar="ID", help="MLflow run that this one is nested in")
    overrides = parser.add_argument_group("settings (default: those of params.yaml)")
    for name, field in BertSettings.model_fields.items():
        overrides.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar="VALUE", help=field.description)
    return parser


def _settings(arguments: argparse.Namespace) -> Settings:
    content = read_params(arguments.params)
    given = {name: value for name in BertSettings.model_fields if (value := getattr(arguments, name)) is not None}
    content.setdefault("families", {}).setdefault("bert", {}).update(given)
    return parse_settings(content, arguments.params)


def train(accelerator: Accelerator, settings: Settings, data: Path, out: Path, run: LiveRun | None) -> dict[str, Any]:
    """Fine-tune on `data`, keep the epoch with the best validation macro-F1, write the candidate to `out`.

    Returns the candidate's metrics. Raises CommentwiseError when the data or the checkpoint cannot be used, or the
    loss is no longer finite.
    """
    stopwatch = Stopwatch()
    options = settings.families.bert
    set_seed(settings.seed)
    parts = {name: read_part(name, settings.labels, data) for name in PARTS}
    tokenizer_text = tokenizer_json(options.checkpoint)
    with accelerator.local_main_process_first():
        rows = {name: encoded(tokenizer_text, settings.max_tokens, part.texts) for name, part in parts.items()}
    examples = {name: _examples(part, rows[name], options.class_weights) for name, part in parts.items()}
    checkpoint = resolve_checkpoint(options.checkpoint)
    model = load_encoder(checkpoint, settings.labels)
    if options.dropout is not None:
        set_dropout(model, options.dropout)
    remote = os.environ.get("COMMENTWISE_CHECKPOINTS", "")
    checkpoints = Checkpoints(CHECKPOINTS / f"{out.name}.pt", _identity(settings, model, examples), remote)
    with (
        atomic_folder(out) if accelerator.is_main_process else nullcontext(out) as folder,
        console("train@bert", len(rows["train"]) * options.epochs, options.epochs, accelerator.is_main_process) as show,
    ):

        def watch(row: Row) -> None:
            show(row)
            if run:
                run.log({name: value for name, value in row.items() if name != "step"}, step=row["step"])

        trainer = Trainer(
            accelerator, model, _recipe(settings), examples["train"], examples["validation"], watch, checkpoints
        )
        trainer.fit()
        trainer.leave_mixed_precision()
        probabilities = {name: trainer.probabilities(examples[name]) for name in HELD_OUT}
        progress, weights = trainer.progress, trainer.encoder_weights()
        if not accelerator.is_main_process:
            return {"chosen": {"epoch": progress.best_epoch}, "validation_macro_f1": progress.best_score}
        model.save_pretrained(folder / ENCODER, state_dict=weights)
        # There too, so that the folder is a whole checkpoint, from which another run can start.
        for place in (folder, folder / ENCODER):
            (place / "tokenizer.json").write_text(tokenizer_text, encoding="utf-8")
        facts = {
            "family": "bert",
            "chosen": {"epoch": progress.best_epoch},
            "checkpoint_md5": folder_md5(checkpoint),
            "parameters": sum(weight.numel() for weight in model.parameters()),
        }
        used = stopwatch.resources(_device_name(accelerator.device), _peak_device_bytes(accelerator.device))
        write_results(folder, parts, probabilities, facts, progress.history, used)
        metrics = dict(json.loads((folder / "metrics.json").read_text(encoding="utf-8")))
    checkpoints.clear()
    return metrics


def _recipe(settings: Settings) -> Recipe:
    chosen = settings.families.bert.model_dump() | {"seed": settings.seed}
    return Recipe(**{field.name: chosen[field.name] for field in fields(Recipe)})


def _examples(part: Part, rows: EncodedComments, power: float) -> Examples:
    """The part with each comment weighed by its label's frequency to the power of minus `power`; their mean is 1."""
    counts = np.bincount(part.true, minlength=len(part.labels))
    weights = (len(part.true) / counts.clip(min=1)) ** power
    weights = weights[part.true]
    return Examples(rows, part.true, (weights / weights.mean()).astype(np.float32), part.table["comment_id"].tolist())


def _identity(settings: Settings, model: torch.nn.Module, examples: dict[str, Examples]) -> str:
    """A digest of all that the trained weights depend on."""
    digest = hashlib.sha256(f"{torch.__version__} {transformers.__version__} {settings.labels}".encode())
    digest.update(repr(_recipe(settings)).encode())
    for name in ("train", "validation"):
        part = examples[name]
        for array in (part.lengths, part.true, part.weights, np.concatenate([np.asarray(row) for row in part.rows])):
            digest.update(np.ascontiguousarray(array).tobytes())
    for weight in model.state_dict().values():
        digest.update(weight.numpy().tobytes())
    return digest.hexdigest()


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

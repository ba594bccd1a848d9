"""Fine-tuning speed: our loop against transformers' Trainer, as it comes and tuned.

  python -m benchmarks.training                          # random weights of MiniLM's size, synthetic comments
  python -m benchmarks.training --size base --comments 60000 --step-tokens 16384     # on a GPU

Needs torch, transformers and accelerate only: no checkpoint, no data, no network, no MLflow. Each contender trains the
same model on the same comments in a process of its own, in turn, several times; figures are medians.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
import transformers
from accelerate import Accelerator
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel, TrainingArguments

from models.engine import available_cores
from models.errors import CommentwiseError, run_command
from models.files import write_json
from training.finetune.batches import Examples
from training.finetune.flops import peak_flops, training_flops
from training.finetune.loop import Trainer
from training.finetune.recipe import Recipe
from training.resources import processor_name

RESULT = Path("benchmarks/results/training.json")
MAX_TOKENS = 128
SIZES = {"minilm": (6, 384, 12), "base": (12, 768, 12)}
"""Layers, hidden size and heads of all-MiniLM-L6 and of bert-base."""
SEED = 0


def main() -> None:
    """Run one contender when told so, else all of them, and write what came out."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, default="minilm", help="of the model (default: minilm)")
    parser.add_argument("--comments", type=int, default=1000, help="comments to train on, once (default: 1000)")
    parser.add_argument("--step-tokens", type=int, default=1200, help="tokens per step (default: 1200)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each contender (default: 3)")
    parser.add_argument("--compile", action="store_true", help="compile our model and that of the tuned Trainer")
    parser.add_argument("--out", type=Path, default=RESULT, help=f"JSON to write (default: {RESULT})")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.comments < 100 or arguments.repeats < 1:
        raise CommentwiseError("--comments must be 100 or more, and --repeats 1 or more")
    if arguments.contender:
        write_json(arguments.out, _run(arguments))
    else:
        write_json(arguments.out, _compare(arguments))


def comments(count: int) -> list[list[int]]:
    """Token ids of made-up comments, as long as real ones: median 27, mean 37, cut at 128."""
    rng = np.random.default_rng(SEED)
    lengths = np.clip(rng.lognormal(np.log(27), 0.8, size=count).round().astype(int), 4, MAX_TOKENS)
    return [rng.integers(1000, 30000, size=length).tolist() for length in lengths]


def make_model(size: str) -> PreTrainedModel:
    """A BERT with random weights for three labels."""
    layers, hidden, heads = SIZES[size]
    torch.manual_seed(SEED)
    return BertForSequenceClassification(
        BertConfig(
            num_hidden_layers=layers,
            hidden_size=hidden,
            num_attention_heads=heads,
            intermediate_size=4 * hidden,
            num_labels=3,
        )
    )


def _compare(arguments: argparse.Namespace) -> dict[str, Any]:
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
    own = ["--size", arguments.size, "--comments", str(arguments.comments), "--step-tokens", str(arguments.step_tokens)]
    own += ["--compile"] * arguments.compile
    for repeat in range(arguments.repeats):
        for name, found in runs.items():
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "run.json"
                command = [sys.executable, "-m", "benchmarks.training", *own, "--contender", name, "--out", str(out)]
                finished = subprocess.run(command, capture_output=True, text=True, check=False)
                if finished.returncode:
                    raise CommentwiseError(f"{name} failed: {finished.stderr.strip().splitlines()[-1]}")
                found.append(json.loads(out.read_text(encoding="utf-8")))
            print(f"run {repeat + 1} of {arguments.repeats}: {name}, {found[-1]['comments_per_second']:.0f} comments/s")
    contenders = {name: _summary(found) for name, found in runs.items()}
    ours = contenders["commentwise"]["comments_per_second"]
    lengths = [len(row) for row in comments(arguments.comments)]
    return {
        "command": " ".join(["python -m benchmarks.training", *own, "--repeats", str(arguments.repeats)]),
        "machine": {"device": _device(), "cores": available_cores(), "python": platform.python_version()},
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "comments": {"count": len(lengths), "mean_tokens": round(statistics.mean(lengths), 1)},
        "seed": SEED,
        "contenders": contenders,
        "ratios": {
            name: round(ours / found["comments_per_second"], 2)
            for name, found in contenders.items()
            if name != "commentwise"
        },
    }


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    rates = [run["comments_per_second"] for run in runs]
    return {
        "comments_per_second": statistics.median(rates),
        "range": [min(rates), max(rates)],
        "mfu": statistics.median(run["mfu"] for run in runs),
    }


def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one contender; the time from the first step to the end of the last."""
    rows = comments(arguments.comments)
    model = make_model(arguments.size)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(available_cores())
    lengths = np.array([len(row) for row in rows])
    flops, peak = training_flops(model, lengths), peak_flops(device, torch.bfloat16)
    train = CONTENDERS[arguments.contender](model, rows, arguments)
    start = time.perf_counter()
    train()
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    return {"comments_per_second": round(len(rows) / seconds, 1), "mfu": round(flops / seconds / peak, 4)}


def _ours(model: PreTrainedModel, rows: list[list[int]], arguments: argparse.Namespace) -> Callable[[], None]:
    recipe = Recipe(
        seed=SEED,
        epochs=1,
        step_tokens=arguments.step_tokens,
        device_tokens=max(arguments.step_tokens, 16384),
        learning_rate=1e-4,
        schedule="linear",
        warmup=0.1,
        layer_decay=1.0,
        weight_decay=0.01,
        label_smoothing=0.0,
        average=0.0,
        patience=0,
        max_grad_norm=1.0,
        attention="auto",
        compile=arguments.compile,
        checkpoint_steps=10**9,
    )
    true = np.arange(len(rows)) % 3
    examples = Examples(rows, true, np.ones(len(rows), dtype=np.float32), [str(row) for row in range(len(rows))])
    few = Examples(rows[:32], true[:32], examples.weights[:32], examples.ids[:32])
    return Trainer(Accelerator(mixed_precision="bf16"), model, recipe, examples, few).fit


class _Rows(Dataset[dict[str, Any]]):
    def __init__(self, rows: list[list[int]], pad: bool) -> None:
        self._rows = rows
        self._pad = pad

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> dict[str, Any]:
        row = self._rows[number]
        filling = (MAX_TOKENS - len(row)) * self._pad
        mask = [1] * len(row) + [0] * filling
        return {"input_ids": row + [0] * filling, "attention_mask": mask, "labels": number % 3}


def _trainer(
    model: PreTrainedModel, rows: list[list[int]], arguments: argparse.Namespace, pad: bool, **options: Any
) -> Callable[[], None]:
    mean = statistics.mean(len(row) for row in rows)
    training = TrainingArguments(
        output_dir=tempfile.mkdtemp(prefix="benchmark-"),
        num_train_epochs=1,
        per_device_train_batch_size=max(1, round(arguments.step_tokens / mean)),
        learning_rate=1e-4,
        use_cpu=not torch.cuda.is_available(),
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        logging_strategy="no",
        **options,
    )

    def collate(examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        width = max(len(example["input_ids"]) for example in examples)
        return {
            "labels": torch.tensor([example["labels"] for example in examples]),
            **{
                name: torch.tensor([example[name] + [0] * (width - len(example[name])) for example in examples])
                for name in ("input_ids", "attention_mask")
            },
        }

    trainer = transformers.Trainer(model, training, train_dataset=_Rows(rows, pad), data_collator=collate)

    def train() -> None:
        trainer.train()

    return train


def _default(model: PreTrainedModel, rows: list[list[int]], arguments: argparse.Namespace) -> Callable[[], None]:
    return _trainer(model, rows, arguments, pad=True)


def _tuned(model: PreTrainedModel, rows: list[list[int]], arguments: argparse.Namespace) -> Callable[[], None]:
    known = TrainingArguments.__dataclass_fields__
    by_length = (
        {"group_by_length": True} if "group_by_length" in known else {"train_sampling_strategy": "group_by_length"}
    )
    options = {"optim": "adamw_torch_fused", "bf16": True, "torch_compile": arguments.compile}
    return _trainer(model, rows, arguments, pad=False, **options, **by_length)


CONTENDERS: dict[str, Callable[[PreTrainedModel, list[list[int]], argparse.Namespace], Callable[[], None]]] = {
    "commentwise": _ours,
    "trainer, defaults": _default,
    "trainer, tuned": _tuned,
}


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else processor_name()


if __name__ == "__main__":
    run_command(main)

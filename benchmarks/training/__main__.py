"""Compare the fine-tuning speed of our loop with that of transformers' Trainer, with its defaults and tuned.

  python -m benchmarks.training                          # random weights of MiniLM's size, random comments
  python -m benchmarks.training --size base --comments 60000 --step-tokens 16384     # on a GPU
  python -m benchmarks.training --data data/prepared     # a real checkpoint on real comments, with scores

The first two need only torch, transformers and accelerate: no checkpoint, no data, no network. Each contender trains the
same model on the same comments in a separate process, in turn, several times; figures are medians.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Read when torch is imported: waiting threads should sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
import transformers

from benchmarks.result import OURS
from benchmarks.training.contenders import CONTENDERS, Options
from benchmarks.training.result import Contender, Run, TrainingResult
from benchmarks.training.tasks import SEED, SIZES, Comments, Task, real, synthetic
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import read_json, write_json
from commentwise.models.cores import available_cores
from commentwise.training.finetune.flops import peak_flops, training_flops
from commentwise.training.finetune.precision import mixed_precision, use_all_cores
from commentwise.training.resources import processor_name
from commentwise.training.scores import macro_f1

RESULT = Path("benchmarks/results/training.json")


def main() -> None:
    """Run all contenders, or the one that --contender names, and write the result."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, default="minilm", help="of the random model (default: minilm)")
    parser.add_argument("--comments", type=int, default=1000, help="number of random comments (default: 1000)")
    parser.add_argument(
        "--data", type=Path, help="folder with prepared comments, to train a checkpoint on them instead"
    )
    parser.add_argument("--checkpoint", default="embedded", help="with --data (default: embedded)")
    parser.add_argument("--epochs", type=int, default=3, help="with --data (default: 3)")
    parser.add_argument("--step-tokens", type=int, default=1200, help="tokens per step (default: 1200)")
    parser.add_argument("--learning-rate", type=float, default=1e-4, help="peak learning rate (default: 1e-4)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each contender (default: 3)")
    parser.add_argument(
        "--compile", action="store_true", help="compile the models of our loop and of the tuned Trainer"
    )
    parser.add_argument(
        "--out", type=Path, default=RESULT, help="JSON to write, with a chart beside it (default: %(default)s)"
    )
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.comments < 100 or min(arguments.repeats, arguments.epochs, arguments.step_tokens) < 1:
        raise CommentwiseError("--comments must be 100 or more, and --repeats, --epochs and --step-tokens 1 or more")
    if arguments.contender:
        write_json(arguments.out, _run(arguments))
        return
    result = compare(arguments)
    write_json(arguments.out, result)
    _draw(result, arguments.out.with_suffix(".png"))


def compare(arguments: argparse.Namespace) -> TrainingResult:
    """Run all contenders in turn, `arguments.repeats` times, each time in a separate process."""
    runs: dict[str, list[Run]] = {name: [] for name in CONTENDERS}
    own = _task_flags(arguments)
    for repeat in range(arguments.repeats):
        for name, done in runs.items():
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "run.json"
                command = [sys.executable, "-m", "benchmarks.training", *own, "--contender", name, "--out", str(out)]
                finished = subprocess.run(command, capture_output=True, text=True, check=False)
                if finished.returncode:
                    raise CommentwiseError(f"{name} failed: {finished.stderr.strip().splitlines()[-1]}")
                done.append(read_json(out))
            print(
                f"run {repeat + 1} of {arguments.repeats}: {name}, {done[-1]['comments_per_second']:.0f} comments/s",
                flush=True,
            )
    contenders = {name: _summary(done) for name, done in runs.items()}
    ours = contenders[OURS]["comments_per_second"]
    return {
        "command": " ".join(["python -m benchmarks.training", *own, "--repeats", str(arguments.repeats)]),
        "machine": {"device": _device(), "cores": available_cores(), "python": platform.python_version()},
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "comments": runs[OURS][0]["comments"],
        "seed": SEED,
        "contenders": contenders,
        "ratios": {
            name: round(ours / other["comments_per_second"], 2) for name, other in contenders.items() if name != OURS
        },
    }


def _task_flags(arguments: argparse.Namespace) -> list[str]:
    task = (
        ["--data", str(arguments.data), "--checkpoint", arguments.checkpoint, "--epochs", str(arguments.epochs)]
        if arguments.data
        else ["--size", arguments.size, "--comments", str(arguments.comments)]
    )
    steps = ["--step-tokens", str(arguments.step_tokens), "--learning-rate", str(arguments.learning_rate)]
    return task + steps + ["--compile"] * arguments.compile


def _summary(runs: list[Run]) -> Contender:
    rates = [run["comments_per_second"] for run in runs]
    return {
        "comments_per_second": statistics.median(rates),
        "range": [min(rates), max(rates)],
        "mfu": statistics.median(run["mfu"] for run in runs),
        "test_macro_f1": runs[0]["test_macro_f1"],
    }


def _run(arguments: argparse.Namespace) -> Run:
    """Train one contender; the time covers all epochs, evaluation included."""
    use_all_cores()
    task = (
        real(arguments.data, arguments.checkpoint, arguments.epochs)
        if arguments.data
        else synthetic(arguments.size, arguments.comments)
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = mixed_precision("auto")
    lengths = task.train.lengths
    peak = peak_flops(device, torch.bfloat16 if precision == "bf16" else torch.float32)
    flops = training_flops(task.model, lengths) * task.epochs
    options = Options(arguments.step_tokens, arguments.learning_rate, precision, arguments.compile)
    train = CONTENDERS[arguments.contender](task, options)
    start = time.perf_counter()
    train()
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    return {
        "comments_per_second": round(len(lengths) * task.epochs / seconds, 1),
        "mfu": round(flops / seconds / peak, 4),
        "test_macro_f1": _score(task, task.test) if task.test else None,
        "comments": {"count": len(lengths), "epochs": task.epochs, "mean_tokens": round(float(lengths.mean()), 1)},
    }


def _score(task: Task, comments: Comments) -> float:
    """Macro-F1 of the trained model in fp32, one comment at a time."""
    model = task.model.eval()
    with torch.no_grad():
        predictions = [int(model(torch.tensor([row], device=model.device)).logits.argmax()) for row in comments.rows]
    return round(macro_f1(comments.targets, np.array(predictions), int(model.config.num_labels)), 4)


def _draw(result: TrainingResult, path: Path) -> None:
    try:
        from benchmarks.report.charts import draw_training
    except ImportError:
        print(f"no {path}: matplotlib is not installed")
        return
    draw_training(result, path)


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else processor_name()


if __name__ == "__main__":
    run_command(main)

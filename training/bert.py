"""Stage train@bert: fine-tune an encoder on the prepared comments, with one process or several.

Run it in the project's folder, with DVC or by itself:

  accelerate launch --config_file accelerate_config.yaml -m commentwise.training.bert
  accelerate launch -m commentwise.training.bert --checkpoint google-bert/bert-base-uncased --epochs 2 --out /tmp/bert-base

Settings come from the section families.bert of params.yaml; each has a flag that overrides it. Run the same command
again to resume an interrupted run.
"""

import argparse
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

# Read when torch is imported. Idle threads should sleep: spinning threads starve others on a shared machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from accelerate import Accelerator

from commentwise.errors import run_command
from commentwise.training.candidate import write_resources
from commentwise.training.families.bert import BERT
from commentwise.training.finetune.fine_tune import fine_tune
from commentwise.training.finetune.loop import Row, end_processes
from commentwise.training.finetune.precision import mixed_precision, use_all_cores
from commentwise.training.finetune.settings import BertSettings
from commentwise.training.params import read_params
from commentwise.training.project import Project
from commentwise.training.provenance import folder_md5
from commentwise.training.registry.tracking import LiveRun, live_run
from commentwise.training.resources import Stopwatch, processor_name
from commentwise.training.settings import Settings, parse_settings
from commentwise.training.train import read_task


def main() -> None:
    """Train with the settings of params.yaml and the command line."""
    stopwatch, project = Stopwatch(), Project()
    arguments = _parser(project).parse_args()
    settings = _settings(arguments)
    options = settings.of(BERT)
    accelerator = Accelerator(mixed_precision=mixed_precision(options.precision))
    if accelerator.device.type == "cpu":
        use_all_cores()
    tracked = arguments.track and accelerator.is_main_process
    with live_run(project, BERT, settings, arguments.parent_run) if tracked else nullcontext() as run:
        task = read_task(project, settings, arguments.data)
        metrics = fine_tune(accelerator, task, options, arguments.out, _recorder(run) if run else None)
        if accelerator.is_main_process:
            device = accelerator.device
            resources = stopwatch.resources(_device_name(device), _peak_device_bytes(device))
            write_resources(_resources_path(project, arguments.out), arguments.out, resources)
        if run:
            run.set_candidate(folder_md5(arguments.out))
    accelerator.print(
        f"train@bert: validation macro-F1 {metrics['validation_macro_f1']:.3f} after epoch {metrics['chosen']['epoch']} of {options.epochs}, "
        f"in {stopwatch.seconds:.0f} s"
    )
    end_processes(accelerator)


def _parser(project: Project) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "accelerate launch -m commentwise.training.bert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--params", type=Path, default=project.params, help="settings file (default: %(default)s)")
    parser.add_argument(
        "--data",
        type=Path,
        default=project.prepared,
        help="folder of train.parquet, validation.parquet and test.parquet (default: %(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, default=project.candidate(BERT.name), help="folder of the candidate (default: %(default)s)"
    )
    parser.add_argument("--no-track", dest="track", action="store_false", help="do not record the run in MLflow")
    parser.add_argument("--parent-run", metavar="ID", help="MLflow run in which this one is nested")
    overrides = parser.add_argument_group("settings (default: those of params.yaml)")
    for name, field in BertSettings.model_fields.items():
        overrides.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar="VALUE", help=field.description)
    return parser


def _settings(arguments: argparse.Namespace) -> Settings:
    content = read_params(arguments.params)
    flags = {name: value for name in BertSettings.model_fields if (value := getattr(arguments, name)) is not None}
    content.setdefault("families", {}).setdefault(BERT.name, {}).update(flags)
    return parse_settings(content, arguments.params)


def _recorder(run: LiveRun) -> Callable[[Row], None]:
    def record(row: Row) -> None:
        run.log({name: value for name, value in row.items() if name != "step"}, step=row["step"])

    return record


def _resources_path(project: Project, out: Path) -> Path:
    """The project's file if `out` is the project's candidate, else a file beside `out`."""
    return project.resources(BERT.name) if out == project.candidate(BERT.name) else out.with_suffix(".resources.json")


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

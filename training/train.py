"""Stage train@family: train one family.

A family with distributed training is trained by the processes that `accelerate launch` starts as accelerate_config.yaml says.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from commentwise.errors import run_command
from commentwise.training.candidate import read_part, write_resources
from commentwise.training.families import catalog
from commentwise.training.families.family import Task
from commentwise.training.launch import launch
from commentwise.training.project import PARTS, Project
from commentwise.training.resources import Stopwatch
from commentwise.training.settings import Settings, load_settings


def main() -> None:
    """Train the family named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m commentwise.training.train", description=__doc__)
    parser.add_argument("family", choices=catalog.names(), help="a section of `families` in params.yaml")
    name = parser.parse_args().family
    project = Project()
    settings = load_settings(project.params)
    family, out, stopwatch = catalog.families()[name], project.candidate(name), Stopwatch()
    if family.launched:
        sys.exit(launch(project.root, family.launched))
    with Console(stderr=True).status(f"{name}: training"):
        metrics = family.train(read_task(project, settings), settings.of(family), out)
    write_resources(project.resources(name), out, stopwatch.resources("cpu"))
    chosen = ", ".join(f"{setting} {value}" for setting, value in metrics.get("chosen", {}).items())
    print(
        f"train@{name}: validation macro-F1 {metrics['validation_macro_f1']:.3f}{f' with {chosen}' if chosen else ''}; "
        f"{metrics['parameters']:,} parameters"
    )


def read_task(project: Project, settings: Settings, prepared: Path | None = None) -> Task:
    """The task of all families. `prepared` is the folder of the split, by default the project's.

    Raises CommentwiseError when a part of the split is missing or unreadable, or has a label that is not in the settings.
    """
    folder = prepared or project.prepared
    parts = {name: read_part(folder, name, settings.labels) for name in PARTS}
    return Task(settings.seed, settings.labels, settings.max_tokens, settings.checkpoint, parts, project.build)


if __name__ == "__main__":
    run_command(main)

"""Changes to the working tree that a retraining makes, and their undoing after a loss."""

import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from commentwise.comments.table import COLUMNS
from commentwise.fileio import atomic_file
from commentwise.monitoring.actions.process import run
from commentwise.monitoring.project import MonitoredProject


def set_source(project: MonitoredProject, data: str) -> None:
    """Make `data`, a comments table in .jsonl, the pipeline's source in params.yaml."""
    plain: dict[str, Any] = {"path": data, "hub": None, "hub_config": None, "encoding": "utf-8", "label_map": {}}
    columns = {f"columns.{name}": name for name in COLUMNS}
    change_params(project.params, {f"data.{name}": value for name, value in (plain | columns).items()})


def change_params(path: Path, values: dict[str, Any]) -> None:
    """Set keys of a params file, given as dotted names. Comments and order are kept."""
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 4096, True
    params = yaml.load(path.read_text(encoding="utf-8"))
    for name, value in values.items():
        section = params
        *parents, key = name.split(".")
        for parent in parents:
            section = section[parent]
        section[key] = value
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        yaml.dump(params, stream)


def keep(project: MonitoredProject, folder: Path) -> None:
    """Copy to `folder` what a run of the pipeline changes and DVC's cache cannot restore."""
    for path in uncached_files(project):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project.root / path, folder / path)


def uncached_files(project: MonitoredProject) -> list[Path]:
    """The files that the pipeline changes and DVC does not cache: settings, lock, and the metrics in git.

    Paths are relative to the project's root.
    """
    yaml = YAML(typ="safe")
    stages = yaml.load(project.stages.read_text(encoding="utf-8"))["stages"]
    lock = yaml.load(project.lock.read_text(encoding="utf-8"))["stages"]
    uncached = {
        str(name)
        for stage in stages.values()
        for out in [*stage.get("do", stage).get("outs", []), *stage.get("do", stage).get("metrics", [])]
        if isinstance(out, dict)
        for name in out
    }
    paths = {out["path"] for stage in lock.values() for out in stage.get("outs", [])}
    metrics = {path for path in paths if any(_matches(path, name) for name in uncached)}
    existing = [Path(path) for path in sorted(metrics) if (project.root / path).is_file()]
    return [project.params.relative_to(project.root), project.lock.relative_to(project.root), *existing]


def _matches(path: str, name: str) -> bool:
    """Tell whether dvc.yaml means this output by `name`, which may contain ${item}."""
    return fnmatch(path, name.replace("${item}", "*"))


def put_back(project: MonitoredProject, folder: Path, data: str) -> None:
    """Restore the files that `keep` copied, the data in DVC's cache and git's index, and remove `data`.

    It can be repeated after an interruption.
    """
    kept = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    for path in kept:
        with atomic_file(project.root / path) as temporary:
            shutil.copyfile(folder / path, temporary)
    tracked = f"{data}.dvc"
    if (project.root / tracked).is_file():
        run("dvc", "remove", tracked, root=project.root)
    (project.root / data).unlink(missing_ok=True)
    run("dvc", "checkout", "--force", root=project.root)
    # DVC has staged files that it wrote.
    staged = [str(project.retraining_data.relative_to(project.root)), *map(str, kept)]
    subprocess.run(["git", "reset", "--quiet", "--", *staged], cwd=project.root, check=True)

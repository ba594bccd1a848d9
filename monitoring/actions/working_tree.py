"""Changes to the working tree that a retraining makes, and their undoing after a loss."""

import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from commentwise.comments.table import COLUMNS, EXTRA_COLUMNS
from commentwise.errors import CommentwiseError
from commentwise.fileio import atomic_file
from commentwise.monitoring.actions.process import run
from commentwise.monitoring.project import MonitoredProject
from commentwise.training.params import change_params


def set_source(project: MonitoredProject, data: str) -> None:
    """Make `data`, a comments table in .jsonl, the pipeline's source in params.yaml."""
    plain: dict[str, Any] = {
        "path": data,
        "hub": None,
        "hub_config": None,
        "format": None,
        "encoding": "utf-8",
        "delimiter": None,
        "quotes": None,
        "header": None,
        "time_format": "auto",
        "label_map": {},
        "splits": {},
    }
    columns = {f"columns.{name}": name for name in (*COLUMNS, *EXTRA_COLUMNS)}
    change_params(project.params, {f"data.{name}": value for name, value in (plain | columns).items()})


def keep(project: MonitoredProject, folder: Path) -> None:
    """Copy to `folder` what a run of the pipeline changes and DVC's cache cannot restore."""
    for path in uncached_files(project):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project.root / path, folder / path)


def uncached_files(project: MonitoredProject) -> list[Path]:
    """The files that a run of the pipeline changes and DVC does not cache, relative to the project's root.

    They are the settings, the lock, the candidates' resources, and the metrics that are versioned in git.
    """
    stages = YAML(typ="safe").load(project.lock.read_text(encoding="utf-8"))["stages"]
    outs = {out["path"] for stage in stages.values() for out in stage.get("outs", [])}
    resources = [path.relative_to(project.root) for path in sorted(project.resources("*").parent.glob("*.json"))]
    own = [project.params.relative_to(project.root), project.lock.relative_to(project.root), *resources]
    files = [*own, *(Path(path) for path in sorted(outs - _ignored_by_git(project, outs)))]
    return [path for path in files if (project.root / path).is_file()]


def _ignored_by_git(project: MonitoredProject, paths: Collection[str]) -> set[str]:
    """Those of `paths` that git ignores. DVC lets git ignore the outputs that it caches."""
    command = ["git", "check-ignore", "-z", "--stdin"]
    done = subprocess.run(
        command, cwd=project.root, input="\0".join(paths), stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode > 1:  # 1: none is ignored
        raise CommentwiseError(
            f"git cannot tell which results are versioned in {project.root.resolve()}: see its error above"
        )
    return set(done.stdout.split("\0"))


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

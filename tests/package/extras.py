"""The packages that each extra installs, and processes in which only these can be imported."""

import json
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]

HIDE = """
import json, sys
from importlib.machinery import PathFinder
class Finder:
    find_distributions = PathFinder.find_distributions
    invalidate_caches = PathFinder.invalidate_caches
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else PathFinder.find_spec(name, path, target)
hidden = set(json.loads(sys.argv.pop(1)))
sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
"""


def run_with_extras(extras: str, code: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in `folder`, in a process that can import this checkout and what it needs with `extras`, nothing else."""
    return subprocess.run(
        [sys.executable, "-c", HIDE + code, json.dumps(sorted(_hidden(extras))), *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def _hidden(extras: str) -> set[str]:
    """The modules that are installed here and would not be with `extras` alone."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"]]
    for extra in filter(None, extras.split(",")):
        wanted += project["optional-dependencies"][extra]
    installed = set().union(*(_closure(requirement) for requirement in wanted))
    return {
        module
        for module, packages in packages_distributions().items()
        if module != "commentwise" and not installed & {canonicalize_name(package) for package in packages}
    }


@cache
def _closure(requirement: str) -> frozenset[str]:
    """The packages that a requirement installs."""
    todo, done = [Requirement(requirement)], dict[str, set[str]]()
    while todo:
        current = todo.pop()
        name, extras = canonicalize_name(current.name), {"", *current.extras}
        if new := extras - done.get(name, set()):
            done[name] = done.get(name, set()) | new
            try:
                needed = distribution(name).requires or []
            except PackageNotFoundError:  # left out of the lock, as CUDA is
                continue
            for entry in map(Requirement, needed):
                if entry.marker is None or any(entry.marker.evaluate({"extra": extra}) for extra in new):
                    todo.append(entry)
    return frozenset(done)

"""Disk space of a package with all its dependencies, as installed on this machine."""

import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

Packages = dict[str, Distribution]
"""Installed packages by name."""
INSTALLERS = ("pip", "setuptools", "wheel")
"""Packages of a new, empty environment."""


def closure(requirements: Iterable[str], path: list[str] | None = None) -> Packages:
    """The installed packages that requirements need, directly or through others.

    `path` lists the folders to search (default: sys.path). Raises PackageNotFoundError if a required package is not
    installed. Dependencies of dependencies may be absent: torch for the CPU works without the CUDA packages it names.
    """
    pending = [Requirement(requirement) for requirement in requirements]
    for requirement in pending:
        if _applies(requirement, ()) and _installed(requirement.name, path) is None:
            raise PackageNotFoundError(requirement.name)
    needed: Packages = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while pending:
        requirement = pending.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        package = needed.get(name) or _installed(name, path)
        if package is None or (name, extras) in seen:
            continue
        seen.add((name, extras))
        needed[name] = package
        children = map(Requirement, package.requires or ())
        pending += [child for child in children if _applies(child, extras)]
    return needed


def _installed(name: str, path: list[str] | None) -> Distribution | None:
    return next(iter(distributions(name=name, path=path or sys.path)), None)


def _applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    """Return True if a requirement applies on this machine to a package installed with these extras."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def environment(python: Path) -> Packages:
    """All packages of a virtual environment except the installers; `python` is its interpreter."""
    (packages,) = (python.parent.parent / "lib").glob("python*/site-packages")
    found = {canonicalize_name(package.name): package for package in distributions(path=[str(packages)])}
    return {name: package for name, package in found.items() if name not in INSTALLERS}


def megabytes(packages: Iterable[Distribution]) -> float:
    """Size in MB of the files that the packages list as theirs."""
    files = (Path(str(file.locate())) for package in packages for file in package.files or ())
    return sum(file.stat().st_size for file in files if file.is_file()) / 1024**2

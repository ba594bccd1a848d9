"""How much disk a package takes with everything that it needs, as installed here."""

import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

INSTALLERS = ("pip", "setuptools", "wheel")
"""What a new environment has before anything is installed."""


def closure(requirements: Iterable[str], path: list[str] | None = None) -> dict[str, Distribution]:
    """The installed packages that the requirements need, directly or through others, by name.

    `path` is where packages are looked for (default: sys.path). Raises PackageNotFoundError when one that is named is
    not installed. One that only others ask for may lack: torch for the CPU does without the CUDA packages it names.
    """
    pending = [Requirement(requirement) for requirement in requirements]
    for requirement in pending:
        if _applies(requirement, ()) and _installed(requirement.name, path) is None:
            raise PackageNotFoundError(requirement.name)
    needed: dict[str, Distribution] = {}
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
    """Whether a requirement holds on this machine for a package that is installed with these extras."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def environment(python: Path) -> dict[str, Distribution]:
    """All packages of a virtual environment, by name, without the installers."""
    (packages,) = (python.parent.parent / "lib").glob("python*/site-packages")
    found = {canonicalize_name(package.name): package for package in distributions(path=[str(packages)])}
    return {name: package for name, package in found.items() if name not in INSTALLERS}


def megabytes(packages: Iterable[Distribution]) -> float:
    """What the files of packages take, as each lists them."""
    files = (Path(str(file.locate())) for package in packages for file in package.files or ())
    return sum(file.stat().st_size for file in files if file.is_file()) / 1024**2

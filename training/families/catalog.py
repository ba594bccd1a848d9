"""The registry of families: the modules of this folder."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from commentwise.training import families as package
from commentwise.training.families.family import Family


@cache
def families() -> dict[str, Family[Any]]:
    """All families by name, in alphabetical order.

    Raises ValueError if two modules define the same name.
    """
    by_name: dict[str, Family[Any]] = {}
    for module in iter_modules(package.__path__):
        if module.name == "catalog":
            continue
        for family in getattr(import_module(f"{package.__name__}.{module.name}"), "FAMILIES", ()):
            if family.name in by_name:
                raise ValueError(f"two families are named {family.name!r}")
            by_name[family.name] = family
    return dict(sorted(by_name.items()))


def names() -> list[str]:
    """The names of all families."""
    return list(families())

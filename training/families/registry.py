"""All families, found in the modules of this folder."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from commentwise.training import families as package
from commentwise.training.families.family import Family


@cache
def families() -> dict[str, Family[Any]]:
    """Every family by name, in alphabetical order.

    Raises ValueError where two modules define the same name.
    """
    found: dict[str, Family[Any]] = {}
    for module in iter_modules(package.__path__):
        if module.name == "registry":
            continue
        for family in getattr(import_module(f"{package.__name__}.{module.name}"), "FAMILIES", ()):
            if family.name in found:
                raise ValueError(f"two families are named {family.name!r}")
            found[family.name] = family
    return dict(sorted(found.items()))


def names() -> list[str]:
    """The names of all families."""
    return list(families())

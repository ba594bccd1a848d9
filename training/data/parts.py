"""Parts of the split that a source has of its own."""

from collections.abc import Mapping

PART_OF_SPLIT = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "unlabelled": "unlabelled",
}


def part_of_split(name: str, splits: Mapping[str, str]) -> str | None:
    """The part that a split of a source is by `splits` (data.splits) or else by its name; None if unknown.

    >>> part_of_split("unsupervised", {"unsupervised": "unlabelled"}), part_of_split("Dev", {}), part_of_split("x", {})
    ('unlabelled', 'validation', None)
    """
    return splits.get(name) or PART_OF_SPLIT.get(name.strip().casefold())


def unknown_split(name: str) -> str:
    """The problem with an unknown split, and the way out."""
    return (
        f"{name!r}: map it to train, validation, test or unlabelled with data.splits, "
        f"e.g. -S '+data.splits={{{name}: unlabelled}}' (known: {', '.join(PART_OF_SPLIT)})"
    )

"""The source of a server's bundle."""

from pathlib import Path

from commentwise.models.names import bundle_folder


def resolve(model: str, store: Path) -> Path:
    """Return the folder of the bundle that `model` names now; a registry's bundle is downloaded into `store`.

    The store is the server's own, not the user's cache: the server deletes from it what it no longer serves. Raises
    CommentwiseError with the registry's reason.
    """
    return bundle_folder(model, store)

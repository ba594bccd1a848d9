"""What an interrupted training run needs to go on, kept in a file."""

from pathlib import Path
from typing import Any

import torch

from models.files import atomic_file


class Checkpoints:
    """The newest state of one training run.

    A run is known by `identity`, a digest of all that its weights depend on: a state of another run is left aside.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self._path = path
        self._identity = identity

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state; a crash in the middle leaves the one before."""
        with atomic_file(self._path) as temporary:
            torch.save({"identity": self._identity, **state}, temporary)

    def load(self) -> dict[str, Any]:
        """The saved state of this run, on the CPU; empty where there is none, or none that can be read."""
        try:
            state: dict[str, Any] = torch.load(self._path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return {}
        except Exception as error:  # what torch raises depends on where the file is damaged
            print(
                f"{self._path} cannot be read ({str(error).splitlines()[0]}): starting from the beginning", flush=True
            )
            return {}
        if state.pop("identity", None) != self._identity:
            print(f"{self._path} belongs to other settings, data or code: starting from the beginning", flush=True)
            return {}
        return state

    def clear(self) -> None:
        """Forget the state, once the run has left its results."""
        self._path.unlink(missing_ok=True)

"""What an interrupted training run needs to go on, kept in a file, and a copy of it where the machine may be lost."""

from pathlib import Path
from typing import Any

import torch
from fsspec.core import url_to_fs

from commentwise.errors import CommentwiseError
from commentwise.fileio import atomic_file


class Checkpoints:
    """The newest state of one training run.

    A run is known by `identity`, a digest of all that its weights depend on: a state of another run is left aside.
    """

    def __init__(self, path: Path, identity: str, remote: str = "") -> None:
        """`remote` is the URL of a folder (s3://bucket/path) for a copy, which another machine goes on from."""
        self._path = path
        self._identity = identity
        self._remote = f"{remote}/{path.stem}-{identity[:12]}{path.suffix}" if remote else ""

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state; a crash in the middle leaves the one before."""
        with atomic_file(self._path) as temporary:
            torch.save({"identity": self._identity, **state}, temporary)
        if self._remote:
            try:
                files, place = url_to_fs(self._remote)
                files.put_file(str(self._path), place)
            except Exception as error:  # what storage raises depends on its kind
                print(f"warning: no copy at {self._remote} ({_first_line(error)}); training goes on", flush=True)

    def load(self) -> dict[str, Any]:
        """The saved state of this run, on the CPU; empty where there is none, or none that can be read.

        Raises CommentwiseError when nobody can say whether there is a copy.
        """
        self._fetch()
        try:
            state: dict[str, Any] = torch.load(self._path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return {}
        except Exception as error:  # what torch raises depends on where the file is damaged
            print(f"{self._path} cannot be read ({_first_line(error)}): starting from the beginning", flush=True)
            return {}
        if state.pop("identity", None) != self._identity:
            print(f"{self._path} belongs to other settings, data or code: starting from the beginning", flush=True)
            return {}
        return state

    def clear(self) -> None:
        """Forget the state, once the run has left its results."""
        self._path.unlink(missing_ok=True)
        if self._remote:
            try:
                files, place = url_to_fs(self._remote)
                if files.exists(place):
                    files.rm_file(place)
            except Exception as error:  # what storage raises depends on its kind
                print(f"warning: the copy at {self._remote} stays ({_first_line(error)}): delete it", flush=True)

    def _fetch(self) -> None:
        if not self._remote or self._path.exists():
            return
        try:
            files, place = url_to_fs(self._remote)
            if files.exists(place):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_file(self._path) as temporary:
                    files.get_file(place, str(temporary))
        except Exception as error:  # what storage raises depends on its kind
            raise CommentwiseError(
                f"cannot look for a checkpoint at {self._remote} ({_first_line(error)}): mend COMMENTWISE_CHECKPOINTS or its credentials"
            ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

"""The state that an interrupted training run resumes from: a file, and optionally a copy in remote storage."""

from pathlib import Path
from typing import Any

import torch
from fsspec.core import url_to_fs

from commentwise.errors import CommentwiseError
from commentwise.fileio import atomic_file


class Checkpoints:
    """The latest state of one training run.

    `identity` is a digest of everything that the run's weights depend on. The state of another run is ignored.
    """

    def __init__(self, path: Path, identity: str, remote: str = "") -> None:
        """`remote` is the URL of a folder (s3://bucket/path) for a copy, from which another machine can resume."""
        self._path = path
        self._identity = identity
        self._remote = f"{remote}/{path.stem}-{identity[:12]}{path.suffix}" if remote else ""

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state atomically, and upload a copy. A failed upload is only a warning."""
        with atomic_file(self._path) as temporary:
            torch.save({"identity": self._identity, **state}, temporary)
        if self._remote:
            try:
                files, remote_path = url_to_fs(self._remote)
                files.put_file(str(self._path), remote_path)
            except Exception as error:  # each kind of storage raises its own errors
                print(f"warning: no copy at {self._remote} ({_first_line(error)}); training continues", flush=True)

    def load(self) -> dict[str, Any]:
        """The saved state of this run, on the CPU; empty if there is none or it is unreadable.

        Raises CommentwiseError when there is no local state and the remote storage cannot be read.
        """
        self._fetch()
        try:
            state: dict[str, Any] = torch.load(self._path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return {}
        except Exception as error:  # the type of error depends on where the file is damaged
            print(f"{self._path} cannot be read ({_first_line(error)}): starting from the beginning", flush=True)
            return {}
        if state.pop("identity", None) != self._identity:
            print(f"{self._path} belongs to other settings, data or code: starting from the beginning", flush=True)
            return {}
        return state

    def clear(self) -> None:
        """Delete the state and its copy, once the run has written its results."""
        self._path.unlink(missing_ok=True)
        if self._remote:
            try:
                files, remote_path = url_to_fs(self._remote)
                if files.exists(remote_path):
                    files.rm_file(remote_path)
            except Exception as error:  # each kind of storage raises its own errors
                print(
                    f"warning: cannot delete the copy at {self._remote} ({_first_line(error)}): delete it by hand",
                    flush=True,
                )

    def _fetch(self) -> None:
        if not self._remote or self._path.exists():
            return
        try:
            files, remote_path = url_to_fs(self._remote)
            if files.exists(remote_path):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_file(self._path) as temporary:
                    files.get_file(remote_path, str(temporary))
        except Exception as error:  # each kind of storage raises its own errors
            raise CommentwiseError(
                f"cannot look for a checkpoint at {self._remote} ({_first_line(error)}): correct COMMENTWISE_CHECKPOINTS or its credentials"
            ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

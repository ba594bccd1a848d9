"""Data of earlier runs, by md5: from DVC's cache, wherever that is configured to be, or from its remote."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commentwise.errors import CommentwiseError, first_line


@dataclass(frozen=True)
class Store:
    """The cache and the remote of a DVC repository."""

    _repo: Any

    def file(self, md5: str, content: str) -> Path:
        """The file with this md5 in the cache; fetched from the remote if necessary.

        `content` says what it is, for the error. Raises CommentwiseError if neither has it.
        """
        from dvc_data.hashfile.hash_info import HashInfo

        cached, reason = Path(self._repo.cache.local.oid_to_path(md5)), "it has no such file"
        if not cached.is_file():
            try:
                self._repo.cloud.pull([HashInfo("md5", md5)])
            except Exception as error:  # each kind of storage raises its own
                reason = first_line(error)
        if not cached.is_file():
            raise CommentwiseError(
                f"{content} with md5 {md5} are neither in DVC's cache ({cached.parents[3]}) nor in its remote ({reason}): "
                "run `dvc push` where they are, or `dvc remote add -d` here"
            )
        return cached

    def files(self, md5: str, content: str) -> dict[str, Path]:
        """The files of the folder with this md5, which ends in `.dir`, by their path in the folder."""
        entries = json.loads(self.file(md5, content).read_text(encoding="utf-8"))
        return {entry["relpath"]: self.file(entry["md5"], content) for entry in entries}

    def copy_folder(self, md5: str, folder: Path, content: str) -> None:
        """Write the folder with this md5 as `folder`."""
        for name, path in self.files(md5, content).items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)

    def experiment(self, name: str) -> str | None:
        """The commit of the DVC experiment with this name, or None. Raises CommentwiseError if several have it."""
        from dvc.repo.experiments.exceptions import AmbiguousExpRefInfo
        from dvc.repo.experiments.utils import resolve_name

        try:
            found = resolve_name(self._repo.scm, [name])[name]
        except AmbiguousExpRefInfo as error:
            raise CommentwiseError(
                f"several experiments are called {name!r} ({first_line(error)}): name a revision"
            ) from None
        return str(self._repo.scm.get_ref(str(found))) if found else None


@contextmanager
def store(root: Path) -> Iterator[Store]:
    """Open the DVC repository in this folder. Raises CommentwiseError if there is none."""
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        repo = Repo(str(root))
    except NotDvcRepoError:
        raise CommentwiseError(
            f"{root.resolve()} is no DVC repository: run `dvc init`, or go to the project's folder"
        ) from None
    with repo:
        yield Store(repo)

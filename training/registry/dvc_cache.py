"""Data of earlier results, by md5: from DVC's cache, or from its remote."""

import json
import shutil
from pathlib import Path

from commentwise.errors import CommentwiseError, first_line


def cached(md5: str, root: Path, what: str) -> Path:
    """The file with this md5 in the cache of the repository `root`, fetched from the remote if necessary.

    A folder's md5 ends in `.dir`; its file lists the folder's files. Raises CommentwiseError naming `what` if neither
    has it, or `root` is no DVC repository.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc_data.hashfile.hash_info import HashInfo

    try:
        with Repo(str(root)) as repo:
            path, reason = Path(repo.cache.local.oid_to_path(md5)), "it has no such file"
            if not path.is_file():
                try:
                    repo.cloud.pull([HashInfo("md5", md5)])
                except Exception as error:  # each kind of storage raises its own
                    reason = first_line(error)
    except DvcException as error:
        raise CommentwiseError(f"{what} with md5 {md5} cannot be looked up ({first_line(error)})") from None
    if not path.is_file():
        raise CommentwiseError(
            f"{what} with md5 {md5} are neither in DVC's cache ({path.parents[3]}) nor in its remote ({reason}): "
            "run `dvc push` where they are, or `dvc remote add -d` here"
        )
    return path


def restore_folder(md5: str, root: Path, folder: Path, what: str) -> None:
    """Copy the folder with this md5 from the cache or the remote to `folder`. Raises CommentwiseError like `cached`."""
    for entry in json.loads(cached(md5, root, what).read_text(encoding="utf-8")):
        path = folder / entry["relpath"]
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(cached(entry["md5"], root, what), path)

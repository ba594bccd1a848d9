"""The source file in a project: brought into it, and kept by DVC, so that a changed file is noticed and can be restored."""

import os
import shutil
import subprocess
from pathlib import Path

from commentwise.errors import CommentwiseError, first_line
from commentwise.fileio import atomic_file, file_hash
from commentwise.training.params import read_params
from commentwise.training.project import Project
from commentwise.training.settings import DataSettings

DATA = Path("data")
SHOWN = 8
"""Digits of a hash in messages."""


def place(path: Path, root: Path) -> Path:
    """Where a file is in the project, relative to `root`; for a file from elsewhere, where `bring` copies it."""
    found = Path(os.path.relpath(path.parent.resolve() / path.name, root.resolve()))
    return found if ".." not in found.parts else DATA / path.name


def bring(path: Path, root: Path) -> list[str]:
    """Copy a file from outside of the project to its place; return what was done, in words.

    Raises CommentwiseError if another file is there.
    """
    target = root / place(path, root)
    if target.exists() and path.samefile(target):
        return []
    if target.exists() and file_hash(target) != file_hash(path):
        raise CommentwiseError(
            f"{target} is another file than {path}: rename one of them, or train on {target} to use the one in the project"
        )
    with atomic_file(target) as temporary:
        shutil.copyfile(path, temporary)
    return [f"copied {path} to {place(path, root)}, which the project uses from now on"]


def keep(project: Project, data: DataSettings) -> list[str]:
    """Put the source file under DVC, if it is a file of the project that git does not track; return what is new, in words.

    The line for a file that changed since the last run says how to get the earlier content back.
    """
    from dvc.exceptions import DvcException, OutputDuplicationError, OverlappingOutputPathsError
    from dvc.repo import Repo

    path = project.root / data.path
    if data.hub or not path.is_file() or not _may_be_kept(path, project.root):
        return []
    pointer, digest = path.with_name(f"{path.name}.dvc"), file_hash(path, "md5")
    known = read_params(pointer)["outs"][0] if pointer.is_file() else {}
    if known.get("md5") == digest:
        return []
    try:
        with Repo(str(project.root)) as repo:
            repo.scm_context.quiet = True  # without advice about git, which the returned line gives
            repo.add([str(path)])
    except (OverlappingOutputPathsError, OutputDuplicationError):  # DVC keeps it already, as part of something else
        return []
    except DvcException as error:
        return [
            f"warning: DVC cannot keep {data.path} ({first_line(error)}): an overwritten file could not be restored"
        ]
    name = Path(data.path).with_name(pointer.name)
    if known:
        return [
            f"{data.path} changed since the last run: {known['size']:,} bytes with md5 {known['md5'][:SHOWN]} -> "
            f"{path.stat().st_size:,} bytes with md5 {digest[:SHOWN]}; "
            f"`git checkout {name} && dvc checkout {name}` restores the file of the last commit"
        ]
    return [f"DVC keeps {data.path}, md5 {digest}: commit {name}"]


def _may_be_kept(path: Path, root: Path) -> bool:
    if not (root / ".dvc").is_dir() or not path.resolve().is_relative_to(root.resolve()):
        return False
    command = ["git", "ls-files", "--", str(path.resolve())]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0 and not done.stdout

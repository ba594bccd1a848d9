"""The origin of a result: data, code and environment."""

import getpass
import hashlib
import json
import os
import platform
import subprocess
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from commentwise.fileio import file_hash
from commentwise.training.project import PARTS, Project

CODE = (
    "commentwise",
    "comments",
    "models",
    "training",
    "dvc.yaml",
    "pyproject.toml",
    "requirements.lock",
    "accelerate_config.yaml",
)
"""The files that a result depends on, besides the data and params.yaml."""

MAX_SOURCES = 8

PACKAGES = (
    "commentwise",
    "torch",
    "transformers",
    "accelerate",
    "scikit-learn",
    "numpy",
    "tokenizers",
    "onnxruntime",
    "optimum-onnx",
    "datasketch",
    "dvc",
    "mlflow",
)


def repository_root(project: Project) -> Path:
    """The folder of the tracking database: the project's root, or DVC_ROOT.

    DVC runs queued experiments in a temporary copy, and sets DVC_ROOT to the real repository.
    """
    return Path(os.environ.get("DVC_ROOT", project.root)).resolve()


def folder_md5(folder: Path) -> str:
    """The md5 by which DVC identifies the content of a folder, ending in `.dir`.

    This is the md5 of a JSON list of the md5 and the relative path of every file, sorted by path.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    entries = [{"md5": file_hash(path, "md5"), "relpath": path.relative_to(folder).as_posix()} for path in files]
    entries.sort(key=lambda entry: tuple(entry["relpath"].split("/")))
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def data_facts(project: Project, source: str) -> dict[str, Any]:
    """The source of the project's data, its md5 as computed by DVC, and the rows of each part.

    `source_md5` is what md5sum says about a source that is a local file; None for a folder and a data set of the hub.
    `made_from` has the raw comments by the source that they name, if they do; a retraining's comments do.
    """
    import pyarrow.parquet

    file = project.root / source
    facts = {
        "source": source,
        "source_md5": file_hash(file, "md5") if file.is_file() else None,
        "raw_md5": file_hash(project.raw, "md5"),
        "prepared_md5": folder_md5(project.prepared),
        "rows": {part: pyarrow.parquet.read_metadata(project.part(part)).num_rows for part in PARTS},
    }
    made_from = _made_from(project.raw)
    return facts | ({"made_from": made_from} if made_from else {})


def _made_from(raw: Path) -> dict[str, int]:
    """Comments by source, the largest first; those that are not among the first MAX_SOURCES are counted together."""
    import pyarrow.parquet

    if "source" not in pyarrow.parquet.read_schema(raw).names:
        return {}
    column = pyarrow.parquet.read_table(raw, columns=["source"])["source"].to_pylist()
    counts = Counter(name or "unknown" for name in column).most_common()
    rest = sum(count for _, count in counts[MAX_SOURCES:])
    return dict(counts[:MAX_SOURCES]) | ({f"{len(counts) - MAX_SOURCES:,} others": rest} if rest else {})


def git_facts(folder: Path) -> dict[str, Any]:
    """The current commit (None outside of a repository), and the files of `CODE` that differ from it."""
    commit = git_output(folder, "rev-parse", "HEAD").strip()
    changed = git_output(folder, "status", "--porcelain", "--", *CODE).splitlines()
    return {"commit": commit or None, "dirty": sorted(line[3:] for line in changed)}


def author(folder: Path) -> str:
    """The author that git would give a commit in this folder, as `Name <address>`; without git, the login."""
    return git_output(folder, "var", "GIT_AUTHOR_IDENT").rpartition(" ")[0].rpartition(" ")[0] or getpass.getuser()


def commit_date(folder: Path, commit: str | None) -> str | None:
    """The ISO time at which this commit was made; None if the repository does not have it."""
    return (git_output(folder, "show", "--no-patch", "--format=%cI", commit).strip() or None) if commit else None


def environment_facts() -> dict[str, Any]:
    """The Python version, the system, and the versions of the packages that a result depends on."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": versions,
    }


def git_output(folder: Path, *arguments: str) -> str:
    """The output of a git command; empty if it fails."""
    try:
        return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout
    except (subprocess.CalledProcessError, FileNotFoundError):
        return ""

"""Reproduction finds the raw comments where DVC keeps them, and accepts a local checkpoint by its md5."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from commentwise.errors import CommentwiseError
from commentwise.training.data import stored
from commentwise.training.provenance import folder_md5
from commentwise.training.registry import reproduce

RAW = b"the raw comments"
MD5 = hashlib.md5(RAW, usedforsecurity=False).hexdigest()


def cached(root: Path) -> Path:
    """The raw comments in the cache of the repository in `root`."""
    with stored.store(root) as kept:
        return kept.file(MD5, "the raw comments")


def store(folder: Path) -> None:
    """Put the raw comments into a cache or remote of DVC."""
    path = folder / "files" / "md5" / MD5[:2] / MD5[2:]
    path.parent.mkdir(parents=True)
    path.write_bytes(RAW)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A DVC repository whose cache is a folder outside of it, in a file of settings that git does not track."""
    root = tmp_path / "repository"
    root.mkdir()
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet", "--no-scm"], cwd=root, check=True)
    (root / ".dvc" / "config.local").write_text("[cache]\n    dir = ../../shared\n", encoding="utf-8")
    return root


def test_the_raw_comments_come_from_a_shared_cache(repository: Path, tmp_path: Path) -> None:
    store(tmp_path / "shared")
    assert cached(repository).read_bytes() == RAW


def test_the_raw_comments_come_from_the_remote(repository: Path, tmp_path: Path) -> None:
    store(tmp_path / "remote")
    with (repository / ".dvc" / "config.local").open("a", encoding="utf-8") as config:
        config.write(f"[core]\n    remote = store\n['remote \"store\"']\n    url = {tmp_path / 'remote'}\n")
    assert cached(repository).is_relative_to(tmp_path / "shared")
    assert cached(repository).read_bytes() == RAW


def test_raw_comments_that_are_nowhere_are_an_error_with_the_places(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError, match=f"md5 {MD5} are neither in DVC's cache .*/shared.* nor in its remote"):
        cached(repository)


def test_a_folder_comes_from_the_cache_with_its_subfolders(repository: Path, tmp_path: Path) -> None:
    folder = repository / "split"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "train.parquet").write_bytes(RAW)
    subprocess.run([sys.executable, "-m", "dvc", "add", "--quiet", "split"], cwd=repository, check=True)
    with stored.store(repository) as kept:
        kept.copy_folder(folder_md5(folder), tmp_path / "restored", "the split")
    assert (tmp_path / "restored" / "below" / "train.parquet").read_bytes() == RAW


def checkpoint(root: Path, content: str = "weights") -> str:
    folder = root / "build" / "larger"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text(content, encoding="utf-8")
    return folder_md5(folder)


def chosen(root: Path, clone: Path, md5: str | None) -> str:
    """The checkpoint with which the version is trained again."""
    params = {"seed": 1, "families": {"bert": {"checkpoint": "build/larger", "epochs": 2}, "svm": {"C": [1]}}}
    manifest: dict[str, Any] = {"checkpoint": "build/larger", "params": params}
    facts = {"svm": {"local_checkpoint_md5": None}, "bert": {"local_checkpoint_md5": md5}}
    again = reproduce._params(root, clone, manifest, facts)
    assert again["families"]["bert"]["epochs"] == 2
    assert again["families"]["svm"] == {"C": [1]}
    return str(again["families"]["bert"]["checkpoint"])


def test_a_local_checkpoint_with_the_recorded_md5_is_used(tmp_path: Path) -> None:
    md5 = checkpoint(tmp_path / "root")
    assert chosen(tmp_path / "root", tmp_path / "clone", md5) == str(tmp_path / "root/build/larger")


def test_a_checkpoint_of_the_commit_is_used(tmp_path: Path) -> None:
    checkpoint(tmp_path / "root", "changed later")
    md5 = checkpoint(tmp_path / "clone")
    assert chosen(tmp_path / "root", tmp_path / "clone", md5) == "build/larger"


def test_a_checkpoint_of_the_hub_needs_no_folder(tmp_path: Path) -> None:
    assert chosen(tmp_path / "root", tmp_path / "clone", None) == "build/larger"


def test_a_local_checkpoint_that_changed_or_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError, match=r"'build/larger' with md5 0\.dir, which is missing here"):
        chosen(tmp_path / "root", tmp_path / "clone", "0.dir")
    md5 = checkpoint(tmp_path / "root")
    with pytest.raises(CommentwiseError, match=rf"which has md5 {md5} now: restore that folder"):
        chosen(tmp_path / "root", tmp_path / "clone", "0.dir")

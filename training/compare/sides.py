"""The two sides of a comparison: a version in the registry, a DVC experiment, a git revision, or the workspace."""

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from ruamel.yaml import YAML

from commentwise.errors import CommentwiseError
from commentwise.fileio import file_hash, read_json
from commentwise.models.bundle import MANIFEST, bundle_id, verify_files
from commentwise.training.data.stored import Store, store
from commentwise.training.params import read_params
from commentwise.training.project import PARTS, Project
from commentwise.training.provenance import folder_md5, git_output
from commentwise.training.registry.tracking import connect
from commentwise.training.registry.versions import BUNDLE_FOLDER, aliased, downloaded, find_version
from commentwise.training.settings import load_settings

WORKSPACE = "workspace"
REGISTERED = re.compile(r"models:/(?P<name>[^/@]+)[@/](?P<version>[^/@]+)")
UNLABELLED = "unlabelled"


@dataclass(frozen=True)
class Side:
    """One side: its bundle, where that came from, and its data as far as they are still kept."""

    title: str
    manifest: dict[str, Any]
    bundle: Path
    """Its folder, which may be a temporary one: it exists until the side is closed."""
    bundle_id: str
    commit: str | None
    dirty: list[str]
    """Files that differed from the commit."""
    raw: pd.DataFrame | None = None
    """The comments as ingested."""
    split: pd.DataFrame | None = None
    """The comments as prepared, with their part in the column part; those without a label are in the part unlabelled."""
    notes: list[str] = field(default_factory=list)
    """Missing data, in words."""

    @property
    def data(self) -> dict[str, Any]:
        """Source, hashes and rows of the data."""
        return dict(self.manifest["data"])

    @property
    def labels(self) -> list[str]:
        """The labels in the order of the bundle's logits."""
        return list(self.manifest["labels"])


@contextmanager
def opened(project: Project, name: str) -> Iterator[Side]:
    """Find the side with this name: `workspace`, a version's number or alias, models:/NAME@ALIAS or models:/NAME/3, the
    name of a DVC experiment, or a git revision.

    Raises CommentwiseError if there is none, or its bundle cannot be had.
    """
    if name == WORKSPACE:
        verify_files(project.bundle)
        yield _with_data(project, _workspace(project))
    elif version := _version(project, name):
        with downloaded(version, BUNDLE_FOLDER) as bundle:
            manifest = read_json(bundle / MANIFEST)
            side = Side(_title(version, name), manifest, bundle, bundle_id(bundle), **_origin(manifest))
            yield _with_data(project, side)
    else:
        with tempfile.TemporaryDirectory(prefix="commentwise-") as folder:
            yield _with_data(project, _revision(project, name, Path(folder) / "bundle"))


def _origin(manifest: dict[str, Any]) -> dict[str, Any]:
    return {"commit": manifest["git"]["commit"], "dirty": list(manifest["git"]["dirty"])}


def _workspace(project: Project) -> Side:
    manifest = read_json(project.bundle / MANIFEST)
    notes = []
    if read_params(project.params) != manifest["params"]:
        notes.append(
            "params.yaml has changed since the workspace's bundle was made: run `commentwise run` to compare the change"
        )
    return Side("the workspace", manifest, project.bundle, bundle_id(project.bundle), **_origin(manifest), notes=notes)


def _version(project: Project, name: str) -> ModelVersion | None:
    """The version with this number, alias or address; None if the name may be that of something else."""
    client, model = connect(project), load_settings(project.params).publish.model
    if address := REGISTERED.fullmatch(name):
        return find_version(client, address["name"], address["version"])
    if name.startswith("models:"):
        raise CommentwiseError(f"{name!r} names no version: write models:/NAME@ALIAS or models:/NAME/3")
    if name.isdigit() and len(name) < 7:  # longer, it may be a git revision
        return find_version(client, model, name)
    return aliased(client, model, name)


def _title(version: ModelVersion, name: str) -> str:
    alias = name.rpartition("@")[2] if "@" in name else "" if "/" in name or name.isdigit() else name
    return f"version {version.version}{f' ({alias})' if alias else ''}"


def _revision(project: Project, name: str, folder: Path) -> Side:
    """The side of an experiment or a git revision, whose bundle is written to `folder`."""
    with store(project.root) as kept:
        commit, kind = _commit(project, kept, name)
        lock = git_output(project.root, "show", f"{commit}:./{project.lock.name}")
        md5 = _outputs(lock).get(project.bundle.relative_to(project.root).as_posix())
        if md5 is None:
            raise CommentwiseError(
                f"{kind} {name!r} has no bundle in its {project.lock.name}: run `commentwise run` there and commit, or name another"
            )
        kept.copy_folder(md5, folder, f"the files of the bundle of {kind} {name!r}")
    verify_files(folder)
    return Side(f"{kind} {name}", read_json(folder / MANIFEST), folder, bundle_id(folder), commit, [])


def _commit(project: Project, kept: Store, name: str) -> tuple[str, str]:
    """The commit of an experiment or git revision, and which of the two it is."""
    if found := kept.experiment(name):
        return found, "experiment"
    commit = git_output(project.root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if not commit:
        raise CommentwiseError(
            f"{name!r} is neither {WORKSPACE!r}, a version, an alias, an experiment nor a git revision: "
            "`commentwise history` and `commentwise experiments` list them"
        )
    return commit.strip(), "revision"


def _outputs(lock: str) -> dict[str, str]:
    """The md5 of every output in dvc.lock, by path."""
    content = YAML(typ="safe", pure=True).load(lock) or {}
    outs = (out for stage in content.get("stages", {}).values() for out in stage.get("outs", ()))
    return {out["path"]: out["md5"] for out in outs if "md5" in out}


def _with_data(project: Project, side: Side) -> Side:
    """The side with its comments: the project's own files where they are the same, else those that DVC keeps."""
    notes = list(side.notes)
    raw = split = None
    try:
        with store(project.root) as kept:
            raw = _noted(notes, side, lambda: _raw(project, kept, side.data["raw_md5"]))
            split = _noted(notes, side, lambda: _split(project, kept, side.data["prepared_md5"]))
    except CommentwiseError as error:
        notes.append(f"{side.title}: {error}")
    return replace(side, raw=raw, split=split, notes=notes)


def _noted(notes: list[str], side: Side, read: Callable[[], pd.DataFrame]) -> pd.DataFrame | None:
    try:
        return read()
    except CommentwiseError as error:
        notes.append(f"{side.title}: {error}")
        return None


def _raw(project: Project, kept: Store, md5: str) -> pd.DataFrame:
    if project.raw.is_file() and file_hash(project.raw, "md5") == md5:
        return pd.read_parquet(project.raw)
    return pd.read_parquet(kept.file(md5, "the raw comments"))


def _split(project: Project, kept: Store, md5: str) -> pd.DataFrame:
    here = project.prepared.is_dir() and folder_md5(project.prepared) == md5
    paths = (
        {path.name: path for path in project.prepared.iterdir()} if here else kept.files(md5, "the files of the split")
    )
    parts = [(name, paths[f"{name}.parquet"]) for name in (*PARTS, UNLABELLED) if f"{name}.parquet" in paths]
    return pd.concat([pd.read_parquet(path).assign(part=name) for name, path in parts], ignore_index=True)

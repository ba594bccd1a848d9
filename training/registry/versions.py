"""The MLflow registry: versions of bundles, by content, number or alias."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from commentwise.errors import CommentwiseError
from commentwise.fileio import read_json
from commentwise.models.bundle import MANIFEST

CHAMPION = "champion"
CHALLENGER = "challenger"
BUNDLE_TAG = "commentwise.bundle"
DECISION_TAG = "commentwise.decision"
PREVIOUS_TAG = "commentwise.previous_champion"
AUTHOR_TAG = "commentwise.author"
CHOICE_TAG = "commentwise.choice"
"""Why selection chose the version's family."""
BUNDLE_FOLDER = "bundle"
"""Folder of the bundle in the artifacts of its run."""


def find_version(client: MlflowClient, model: str, version: str) -> ModelVersion:
    """A version by its number or alias. Raises CommentwiseError if there is none."""
    try:
        if version.isdigit():
            return client.get_model_version(model, version)
        return client.get_model_version_by_alias(model, version)
    except MlflowException:
        existing = ", ".join(str(known.version) for known in versions(client, model))
        raise CommentwiseError(
            f"the registry has no version {version!r} of {model!r} (it has {existing or 'none'}): publish one with `commentwise publish`"
        ) from None


def champion(client: MlflowClient, model: str) -> ModelVersion | None:
    """The version in production, or None if there is no champion."""
    return aliased(client, model, CHAMPION)


def aliased(client: MlflowClient, model: str, alias: str) -> ModelVersion | None:
    """The version that has the alias, or None."""
    try:
        return client.get_model_version_by_alias(model, alias)
    except MlflowException:
        return None  # MLflow raises different errors for a missing alias and a missing model


def version_of_bundle(client: MlflowClient, model: str, bundle: str) -> ModelVersion | None:
    """The version of the bundle with this id (see `commentwise.models.bundle.bundle_id`), or None."""
    return next((known for known in versions(client, model) if known.tags.get(BUNDLE_TAG) == bundle), None)


def versions(client: MlflowClient, model: str) -> list[ModelVersion]:
    """All versions, the oldest first."""
    found: list[ModelVersion] = []
    token: str | None = None
    while token != "":
        page = client.search_model_versions(f"name = '{model}'", page_token=token)
        found += page
        token = page.token or ""
    return sorted(found, key=lambda version: int(version.version))


@contextmanager
def downloaded(version: ModelVersion, artifact: str) -> Iterator[Path]:
    """A temporary local copy of an artifact of the version's run. Raises CommentwiseError if it is missing."""
    with tempfile.TemporaryDirectory(prefix="commentwise-") as folder:
        try:
            path = mlflow.artifacts.download_artifacts(run_id=version.run_id, artifact_path=artifact, dst_path=folder)
        except (MlflowException, OSError) as error:
            raise CommentwiseError(
                f"version {version.version} of {version.name!r} has no artifact {artifact!r} ({str(error).splitlines()[0]}): "
                "restore the artifact store"
            ) from None
        yield Path(path)


def manifest_of(version: ModelVersion) -> dict[str, Any]:
    """The manifest of a version's bundle."""
    with downloaded(version, f"{BUNDLE_FOLDER}/{MANIFEST}") as path:
        return dict(read_json(path))

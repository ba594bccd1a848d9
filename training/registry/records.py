"""The facts of `commentwise history`: every version in the registry and every experiment in MLflow, with its origin."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import mlflow
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from commentwise.errors import CommentwiseError
from commentwise.models.prediction_log import Served
from commentwise.training.project import HELD_OUT
from commentwise.training.registry.tracking import CANDIDATE_TAG, EXPERIMENT, STUDY_TAG
from commentwise.training.registry.versions import (
    AUTHOR_TAG,
    BUNDLE_TAG,
    CHOICE_TAG,
    DECISION_TAG,
    manifest_of,
    versions,
)

LOGIN_TAG, COMMIT_TAG, DVC_TAG = "mlflow.user", "git.commit", "dvc.experiment"


@dataclass(frozen=True)
class Data:
    """The comments behind a result: the source, the raw comments read from it, and the split made of these."""

    source: str | None
    raw_md5: str | None
    prepared_md5: str | None
    rows: dict[str, int] = field(default_factory=dict)
    """Comments by part, as far as they are recorded."""
    made_from: dict[str, int] = field(default_factory=dict)
    """Raw comments by the source that they name, if they do: those of a retraining do."""
    source_md5: str | None = None
    """The md5 of a source that is a file; older versions lack it."""


@dataclass(frozen=True)
class VersionRecord:
    """A version in the registry. None: not recorded, or its artifacts are missing."""

    version: int
    published: datetime
    author: str | None
    commit: str | None
    data: Data | None
    family: str | None
    choice: str | None
    decision: str | None
    test: dict[str, Any] | None
    """Scores on the test part: name, then value, low and high; and the number of comments."""
    bundle: str | None
    served: Served | None
    """Its answers in the prediction log, if one was read and has any."""


@dataclass(frozen=True)
class Experiment:
    """A candidate that was trained, or a study of several."""

    run: str
    name: str
    started: datetime
    author: str | None
    commit: str | None
    data: Data | None
    scores: dict[str, dict[str, Any]]
    """By part: name, then value, low and high. Empty for a candidate that was never evaluated, and for a study."""


def version_records(client: MlflowClient, model: str, log: dict[str, Served]) -> list[VersionRecord]:
    """Every version of the model, the oldest first. `log` has the answers by bundle."""
    return [version_record(client, version, log) for version in versions(client, model)]


def version_record(client: MlflowClient, version: ModelVersion, log: dict[str, Served]) -> VersionRecord:
    """The record of one version."""
    try:
        manifest = manifest_of(version)
    except CommentwiseError:
        manifest = {}
    bundle = version.tags.get(BUNDLE_TAG)
    test = manifest.get("metrics", {}).get("test")
    return VersionRecord(
        version=int(version.version),
        published=created(version),
        author=version.tags.get(AUTHOR_TAG) or _login(client, version),
        commit=version.tags.get(COMMIT_TAG),
        data=Data(**manifest["data"]) if manifest else None,
        family=manifest.get("family"),
        choice=version.tags.get(CHOICE_TAG),
        decision=version.tags.get(DECISION_TAG),
        test={"comments": test["comments"], **test["scores"]} if test else None,
        bundle=bundle,
        served=log.get(bundle) if bundle else None,
    )


def created(version: ModelVersion) -> datetime:
    """The time at which a version was registered."""
    return _time(version.creation_timestamp)


def _login(client: MlflowClient, version: ModelVersion) -> str | None:
    """The login of whoever uploaded a version that was published before authors were recorded."""
    if version.run_id is None:
        return None
    try:
        login = client.get_run(version.run_id).data.tags.get(LOGIN_TAG)
    except MlflowException:  # the run was deleted
        return None
    return str(login) if login else None


def experiments(client: MlflowClient) -> list[Experiment]:
    """Every candidate and study, the oldest first; trials within a study only where they became candidates."""
    found = client.get_experiment_by_name(EXPERIMENT)
    assert found is not None
    runs: list[Run] = []
    token: str | None = None
    while token != "":
        page = client.search_runs([found.experiment_id], order_by=["attributes.start_time ASC"], page_token=token)
        runs += page
        token = page.token or ""
    return [_experiment(run) for run in runs if CANDIDATE_TAG in run.data.tags or STUDY_TAG in run.data.tags]


def _experiment(run: Run) -> Experiment:
    tags = run.data.tags
    name = tags.get("mlflow.runName", "")
    return Experiment(
        run=run.info.run_id,
        name=f"{name}, {tags[DVC_TAG]}" if DVC_TAG in tags else name,
        started=_time(run.info.start_time),
        author=tags.get(AUTHOR_TAG) or tags.get(LOGIN_TAG),
        commit=tags.get(COMMIT_TAG),
        data=_data([entry.dataset for entry in run.inputs.dataset_inputs] if run.inputs else []),
        scores=_evaluation(run) if CANDIDATE_TAG in tags else {},
    )


def _data(datasets: Sequence[Any]) -> Data | None:
    if not datasets:
        return None
    rows = {each.name: int(json.loads(each.profile or "{}").get("num_rows", 0)) for each in datasets}
    source = json.loads(datasets[0].source).get("tags", {}).get("source")
    return Data(source, None, datasets[0].digest, rows)


def _evaluation(run: Run) -> dict[str, dict[str, Any]]:
    try:
        evaluation = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/evaluation.json")
    except (MlflowException, OSError):
        return {}
    return {part: evaluation[part]["scores"] for part in HELD_OUT}


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)

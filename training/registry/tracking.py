"""MLflow tracking: the connection, and exactly one run per candidate, recorded during training or afterwards."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Read when mlflow is imported: no telemetry, and errors within seconds if the server is unreachable.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow
import pandas as pd
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import LifecycleStage, Run
from mlflow.environment_variables import MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from commentwise.errors import first_line
from commentwise.fileio import read_json
from commentwise.training.candidate import read_history, read_metrics, read_resources
from commentwise.training.data.sources import source_name
from commentwise.training.families import catalog
from commentwise.training.families.family import Family
from commentwise.training.project import HELD_OUT, Project
from commentwise.training.provenance import (
    author,
    data_facts,
    environment_facts,
    folder_md5,
    git_facts,
    repository_root,
)
from commentwise.training.registry import problems
from commentwise.training.registry.versions import AUTHOR_TAG
from commentwise.training.settings import Settings

EXPERIMENT = "commentwise"
CANDIDATE_TAG = "commentwise.candidate"
EVALUATION_TAG = "commentwise.evaluation"
STUDY_TAG = "commentwise.study"
FAMILY_TAG = "commentwise.family"


def connect(project: Project) -> MlflowClient:
    """Set the tracking store and the experiment, and check that the store answers.

    The store is MLFLOW_TRACKING_URI, by default sqlite:///mlflow.db in the project's folder. Raises CommentwiseError if
    it does not answer or cannot be used, with the way out.
    """
    for verbose in ("mlflow", "alembic"):  # they log every new table and every missing GPU
        logging.getLogger(verbose).setLevel(logging.WARNING)
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set(True)  # two lines per run
    root = repository_root(project)
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    # A server configures the location of artifacts, a database does not.
    location = None if uri.startswith(("http:", "https:")) else (root / "mlartifacts").as_uri()
    try:
        _check_database(uri)
        experiment = mlflow.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            mlflow.create_experiment(EXPERIMENT, artifact_location=location)
        elif experiment.lifecycle_stage == LifecycleStage.DELETED:
            raise problems.deleted(uri, EXPERIMENT, experiment.experiment_id)
        mlflow.set_experiment(EXPERIMENT)
    except (MlflowException, SQLAlchemyError, ImportError) as error:
        raise problems.unusable(uri, error) from None
    return MlflowClient()


def _check_database(uri: str) -> None:
    """Connect to a database once. MLflow would try ten times, for minutes, even if the password is wrong."""
    if uri.startswith(("postgresql", "mysql", "mssql")):
        engine = create_engine(uri)
        engine.connect().close()
        engine.dispose()


class LiveRun:
    """A run that is recorded during training.

    If MLflow stops answering, training continues, and `record_candidate` records the run later from the candidate's files.
    """

    def __init__(self, run: Run) -> None:
        self.run_id = run.info.run_id
        self._client = MlflowClient()
        self._lost = False

    def log(self, values: dict[str, float], step: int = 0) -> None:
        """Record metrics."""
        self._try(lambda: mlflow.log_metrics(values, step=step, run_id=self.run_id))

    def set_candidate(self, candidate: str) -> None:
        """Tag the run with the md5 of its candidate, by which `record_candidate` finds it."""
        self._try(lambda: self._client.set_tag(self.run_id, CANDIDATE_TAG, candidate))

    def _try(self, action: Any) -> None:
        if self._lost:
            return
        try:
            action()
        except MlflowException as error:
            self._lost = True
            print(
                f"warning: MLflow no longer answers ({first_line(error)}); training continues, and select records the run later"
            )


@contextmanager
def live_run(
    project: Project, family: Family[Any], settings: Settings, parent_run: str | None = None
) -> Iterator[LiveRun]:
    """Record a training run of `family` with system metrics, nested in `parent_run` if there is one.

    An error marks the run as failed.
    """
    connect(project)
    tags = _tags(project, family) | ({MLFLOW_PARENT_RUN_ID: parent_run} if parent_run else {})
    with mlflow.start_run(run_name=family.name, tags=tags, log_system_metrics=True) as run:
        mlflow.log_params(_params(family, settings))
        yield LiveRun(run)


@contextmanager
def study_run(project: Project, name: str, key: str) -> Iterator[LiveRun]:
    """The parent run of a study's trials. A study with the same `key` continues its earlier run."""
    client = connect(project)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], f"tags.`{STUDY_TAG}` = '{key}'", max_results=1)
    tags = {STUDY_TAG: key, AUTHOR_TAG: author(project.root), "git.commit": str(git_facts(project.root)["commit"])}
    with mlflow.start_run(runs[0].info.run_id if runs else None, run_name=name, tags=tags) as run:
        yield LiveRun(run)


def record_candidate(client: MlflowClient, project: Project, name: str, settings: Settings) -> str:
    """Record the candidate of the family `name` and its evaluation, unless MLflow has them; return the logged model's id.

    Candidates and evaluations are identified by their content.
    """
    family = catalog.families()[name]
    candidate = folder_md5(project.candidate(name))
    run_id = _find_run(client, candidate) or _record_run(client, project, family, settings, candidate)
    evaluation = folder_md5(project.evaluated(name).parent)
    for model in mlflow.search_logged_models(
        filter_string=f"tags.`{CANDIDATE_TAG}` = '{candidate}'", output_format="list"
    ):
        if model.tags.get(EVALUATION_TAG) == evaluation:
            return str(model.model_id)
    return _record_model(project, name, settings, run_id, {CANDIDATE_TAG: candidate, EVALUATION_TAG: evaluation})


def _find_run(client: MlflowClient, candidate: str) -> str | None:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs = client.search_runs(
        [experiment.experiment_id], f"tags.`{CANDIDATE_TAG}` = '{candidate}' and status = 'FINISHED'", max_results=1
    )
    return runs[0].info.run_id if runs else None


def _record_run(client: MlflowClient, project: Project, family: Family[Any], settings: Settings, candidate: str) -> str:
    """Record the run of a candidate that was trained without MLflow, or restored from DVC's cache."""
    folder = project.candidate(family.name)
    with mlflow.start_run(run_name=family.name, tags=_tags(project, family)) as run:
        mlflow.log_params(_params(family, settings))
        for row in read_history(folder):
            values = {name: value for name, value in row.items() if name != "step" and isinstance(value, int | float)}
            mlflow.log_metrics(values, step=row["step"])
        # Set last: a run without this tag was interrupted, and is ignored.
        client.set_tag(run.info.run_id, CANDIDATE_TAG, candidate)
    return str(run.info.run_id)


def _record_model(project: Project, family: str, settings: Settings, run_id: str, tags: dict[str, str]) -> str:
    folder = project.candidate(family)
    data = data_facts(project, source_name(settings.data))
    facts = read_metrics(folder)
    evaluation = read_json(project.evaluated(family))
    datasets = {part: dataset(project, part, data) for part in HELD_OUT}
    with mlflow.start_run(run_id=run_id):
        for part, logged in datasets.items():
            mlflow.log_input(logged, context=part)
        mlflow.log_params({f"chosen.{name}": value for name, value in facts.get("chosen", {}).items()})
        if "checkpoint_md5" in facts:  # the checkpoint's name may be that of a folder
            mlflow.log_param("checkpoint_md5", facts["checkpoint_md5"])
        mlflow.log_metrics(
            {
                f"resources.{name}": value
                for name, value in read_resources(project.resources(family), folder).items()
                if name != "device"
            }
        )
        mlflow.log_dict(environment_facts(), "environment.json")
        mlflow.log_dict(evaluation, "evaluation.json")
        model = mlflow.create_external_model(name=family, source_run_id=run_id, tags=tags, model_type=family)
        for part, logged in datasets.items():
            prefix = "" if part == "validation" else f"{part}_"
            values = {f"{prefix}{name}": score["value"] for name, score in evaluation[part]["scores"].items()}
            mlflow.log_metrics(values, dataset=logged, model_id=model.model_id)
    return str(model.model_id)


def dataset(project: Project, part: str, data: dict[str, Any]) -> Any:
    """One part of the prepared data as an MLflow dataset, with DVC's md5 of the whole split as its digest.

    MLflow's own digest covers only the first 10,000 rows.
    """
    table = pd.read_parquet(project.part(part))[["text", "label"]]
    return from_pandas(
        table,
        source=CodeDatasetSource(tags={"source": data["source"]}),
        name=part,
        targets="label",
        digest=data["prepared_md5"],
    )


def _tags(project: Project, family: Family[Any]) -> dict[str, str]:
    git = git_facts(project.root)
    tags = {FAMILY_TAG: family.name, "git.commit": str(git["commit"]), "git.dirty": ", ".join(git["dirty"]) or "no"}
    tags |= {AUTHOR_TAG: author(project.root)}
    if experiment := os.environ.get("DVC_EXP_NAME"):
        tags["dvc.experiment"] = experiment
    return tags


def _params(family: Family[Any], settings: Settings) -> dict[str, Any]:
    own = settings.of(family).model_dump()
    return {"seed": settings.seed, "max_tokens": settings.max_tokens, **own}

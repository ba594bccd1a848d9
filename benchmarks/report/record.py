"""Record the benchmarks in MLflow: one run per set of results."""

import hashlib
import re
from pathlib import Path

from commentwise.training.registry.tracking import EXPERIMENT as PIPELINE
from commentwise.training.registry.tracking import connect

# Imported after commentwise.training.registry.tracking, which sets variables that mlflow reads on import.
import mlflow  # isort: skip

from benchmarks.report.figures import figures
from benchmarks.report.result_files import COMMANDS, read_results
from commentwise.fileio import file_hash
from commentwise.training.project import Project
from commentwise.training.provenance import git_facts

EXPERIMENT = "benchmarks"
RESULTS_TAG = "commentwise.benchmarks"


def record(results: Path, report: Path) -> str:
    """Log headline figures, result files and report, unless a run has these results already; return a line naming the run."""
    client = connect(Project())
    pipeline = client.get_experiment_by_name(PIPELINE)
    assert pipeline is not None
    existing = client.get_experiment_by_name(EXPERIMENT)
    # Every run has its own folder, so that two experiments can share an artifact location.
    experiment = (
        existing.experiment_id if existing else client.create_experiment(EXPERIMENT, pipeline.artifact_location)
    )
    paths = [path for name in COMMANDS if (path := results / f"{name}.json").exists()]
    content = hashlib.sha256("".join(file_hash(path) for path in paths).encode()).hexdigest()
    runs = client.search_runs(
        [experiment], f"tags.`{RESULTS_TAG}` = '{content}' and status = 'FINISHED'", max_results=1
    )
    if runs:
        return f"MLflow has these results already, in run {runs[0].info.run_id}"
    with mlflow.start_run(experiment_id=experiment, run_name="benchmarks") as run:
        mlflow.set_tag("git.commit", str(git_facts(Path())["commit"]))
        for name, figure in figures(read_results(results)).items():
            key = metric_name(name)
            mlflow.log_metrics({key: figure.value, f"{key}/low": figure.low, f"{key}/high": figure.high})
        for path in paths:
            mlflow.log_artifact(str(path), "results")
        mlflow.log_artifacts(str(report), "report")
        # Set last, so that an interrupted run is not taken for a complete one.
        mlflow.set_tag(RESULTS_TAG, content)
    return f"MLflow: run {run.info.run_id} of the experiment {EXPERIMENT}"


def metric_name(name: str) -> str:
    """A figure's name without the characters that MLflow rejects."""
    return re.sub(r"[^\w\-./ ]+", "", name).replace("  ", " ")

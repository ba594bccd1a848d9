"""Log the findings to MLflow: a run tied to the registered version of the bundle in production."""

from pathlib import Path

import mlflow

from commentwise.monitoring.signals.analysis import Analysis
from commentwise.training.project import Project
from commentwise.training.registry.tracking import EXPERIMENT, connect
from commentwise.training.registry.versions import BUNDLE_TAG, version_of_bundle
from commentwise.training.settings import load_settings

MONITOR_TAG = "commentwise.monitoring"


def record(project: Project, analysis: Analysis, folder: Path) -> str:
    """Log a run with the report in `folder` as its artifacts, and tag the version; return the run's id.

    The same windows are logged once.
    """
    client = connect(project)
    bundle = analysis.reference.bundle_id
    key = f"{bundle[:12]}-{analysis.verdicts[-1].rows.time[-1]:.3f}-{len(analysis.verdicts)}"
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], f"tags.`{MONITOR_TAG}` = '{key}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    version = version_of_bundle(client, load_settings(project.params).publish.model, bundle)
    tags = {BUNDLE_TAG + ".monitored": bundle, "severity": analysis.severity}
    if version:
        tags["model_version"] = version.version
    with mlflow.start_run(run_name=f"monitoring-{analysis.severity}", tags=tags) as run:
        for step, (verdict, estimate) in enumerate(zip(analysis.verdicts, analysis.estimates, strict=True)):
            values = {f"p.{name}": p_value for name, p_value in verdict.adjusted.items()}
            values |= {f"mean.{name}": mean for name, mean in analysis.means(step).items()}
            values |= {f"estimated_{name}": score.value for name, score in estimate.items()}
            score, _ = analysis.realised[step]
            mlflow.log_metrics(values | ({"accuracy_by_feedback": score.value} if score else {}), step=step)
        mlflow.set_tag("mlflow.note.content", analysis.summary)
        for name in ("report.html", "report.json"):
            mlflow.log_artifact(str(folder / name))
        # Last: a run without this tag was interrupted.
        client.set_tag(run.info.run_id, MONITOR_TAG, key)
    if version:
        client.set_model_version_tag(
            version.name, version.version, MONITOR_TAG, f"{analysis.severity}: {analysis.summary}"[:500]
        )
    return str(run.info.run_id)

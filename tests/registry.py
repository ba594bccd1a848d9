"""An MLflow registry in a folder."""

from pathlib import Path

import mlflow

MODEL = "commentwise"


def register(folder: Path, bundle: Path) -> str:
    """Register the bundle as the next version, make it champion, and return the registry's address."""
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = mlflow.MlflowClient(uri)
    if not client.search_registered_models():
        client.create_experiment(MODEL, artifact_location=str(folder / "artifacts"))
        client.create_registered_model(MODEL)
    experiment = client.get_experiment_by_name(MODEL)
    assert experiment is not None
    run = client.create_run(experiment.experiment_id).info.run_id
    client.log_artifacts(run, str(bundle), "bundle")
    version = client.create_model_version(MODEL, f"runs:/{run}/bundle", run)
    client.set_registered_model_alias(MODEL, "champion", version.version)
    return uri

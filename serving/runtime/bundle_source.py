"""The source of a bundle: a folder, or a version in an MLflow registry.

MLflow is large and slow to load, so a separate process downloads from a registry:

  python -m commentwise.serving.runtime.bundle_source models:/commentwise@champion FOLDER
"""

import subprocess
import sys
from pathlib import Path

from commentwise.errors import CommentwiseError, run_command

REGISTRY = "models:/"
DOWNLOAD_SECONDS = 300


def resolve(model: str, store: Path) -> Path:
    """Return the folder of the bundle that `model` names now; a registry's bundle is downloaded into `store`.

    Raises CommentwiseError with the registry's reason.
    """
    if not model.startswith(REGISTRY):
        return Path(model)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "commentwise.serving.runtime.bundle_source", model, str(store)],
            capture_output=True,
            text=True,
            check=False,
            timeout=DOWNLOAD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise CommentwiseError(f"{model}: the registry did not answer within {DOWNLOAD_SECONDS} seconds") from None
    if done.returncode:
        raise CommentwiseError(done.stderr.strip().splitlines()[-1].removeprefix("error: "))
    return Path(done.stdout.strip())


def download(uri: str, store: Path) -> Path:
    """Download a version's bundle into `store`, unless it was before. Raises CommentwiseError when there is none."""
    try:
        import mlflow
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise CommentwiseError(f"{uri} needs MLflow: pip install mlflow-skinny, or name a folder") from None
    name, _, alias = uri.removeprefix(REGISTRY).partition("@")
    name, _, number = name.partition("/")
    try:
        client = mlflow.MlflowClient()
        version = client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, number)
        folder = store / f"{name}-{version.version}"
        if not folder.exists():
            partial = store / f"{folder.name}.partial"
            partial.mkdir(parents=True, exist_ok=True)
            downloaded = download_artifacts(
                run_id=version.run_id, artifact_path=str(version.source).rpartition("/")[2], dst_path=str(partial)
            )
            Path(downloaded).rename(folder)
            partial.rmdir()
    except (MlflowException, OSError) as error:
        raise CommentwiseError(f"{uri} in {mlflow.get_tracking_uri()}: {str(error).splitlines()[0]}") from None
    return folder


def main() -> None:
    """Download the bundle that the command line names, and print its folder."""
    uri, store = sys.argv[1:]
    print(download(uri, Path(store)))


if __name__ == "__main__":
    run_command(main)

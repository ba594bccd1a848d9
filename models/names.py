"""Names of bundles: a folder, `models:/NAME@ALIAS` or `models:/NAME/VERSION` in an MLflow registry.

Registered bundles are downloaded into a folder where each is named after its id, so that equal ones are downloaded once
and any number of processes may share it. MLflow is large and slow to load, so a separate process downloads:

  python -m commentwise.models.names models:/commentwise@champion FOLDER
"""

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from commentwise.errors import CommentwiseError, first_line, run_command
from commentwise.fileio import atomic_folder
from commentwise.models.bundle import MANIFEST, Classifier, bundle_id, verify_files

REGISTRY = "models:/"
DOWNLOAD_SECONDS = 300
_ADDRESS = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


def load(
    name: str | Path, device: str = "cpu", threads: int | None = None, index: int = 0, cascade: bool = False
) -> Classifier:
    """Load the bundle with this name; the other parameters are those of `Classifier`.

    >>> load("models:/commentwise@champion").predict(["best tutorial ever"])[0].label  # doctest: +SKIP
    'positive'

    Raises CommentwiseError if the registry has no such version, or the bundle cannot be loaded.
    """
    return Classifier(bundle_folder(name), device, threads, index, cascade)


def bundle_folder(name: str | Path, store: Path | None = None) -> Path:
    """The folder of the bundle with this name; that of a registry is downloaded into `store`, unless it was before.

    The default store is commentwise/bundles in the user's cache, XDG_CACHE_HOME or ~/.cache. Raises CommentwiseError
    with the registry's reason. A folder is returned as it is: loading it verifies it.

    >>> bundle_folder("artifacts/bundle").name
    'bundle'
    """
    name = str(name)
    if not name.startswith(REGISTRY):
        return Path(name)
    if not _ADDRESS.fullmatch(name):
        raise CommentwiseError(f"{name!r} names no version: write models:/NAME@ALIAS or models:/NAME/3")
    command = [sys.executable, "-m", "commentwise.models.names", name, str(store or user_store())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DOWNLOAD_SECONDS)
    except subprocess.TimeoutExpired:
        raise CommentwiseError(f"{name}: the registry did not answer within {DOWNLOAD_SECONDS} seconds") from None
    if done.returncode:
        raise CommentwiseError(done.stderr.strip().splitlines()[-1].removeprefix("error: "))
    return Path(done.stdout.strip().splitlines()[-1])


def user_store() -> Path:
    """The folder of downloaded bundles in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "commentwise" / "bundles"


def download(uri: str, store: Path) -> Path:
    """Download a version's bundle into `store`, unless an intact copy is there. Raises CommentwiseError if there is none."""
    try:
        import mlflow
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise CommentwiseError(f"{uri} needs MLflow: pip install mlflow-skinny, or name a folder") from None
    address = _ADDRESS.fullmatch(uri)
    assert address is not None
    client = mlflow.MlflowClient()
    try:
        version = (
            client.get_model_version_by_alias(address["name"], address["alias"])
            if address["alias"]
            else client.get_model_version(address["name"], address["version"])
        )
        source = str(version.source).rpartition("/")[2]
        with TemporaryDirectory(prefix="commentwise-") as temporary:
            manifest = download_artifacts(
                run_id=version.run_id, artifact_path=f"{source}/{MANIFEST}", dst_path=temporary
            )
            folder = store.absolute() / bundle_id(Path(manifest).parent)
        with _locked(folder):
            if not _is_intact(folder):
                with atomic_folder(folder) as partial:
                    inner = Path(download_artifacts(run_id=version.run_id, artifact_path=source, dst_path=str(partial)))
                    for path in inner.iterdir():
                        path.rename(partial / path.name)
                    inner.rmdir()
                    verify_files(partial)
    except (MlflowException, OSError, CommentwiseError) as error:
        raise CommentwiseError(f"{uri} in {mlflow.get_tracking_uri()}: {first_line(error)}") from None
    return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing `folder`; the lock ends with the process."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_intact(folder: Path) -> bool:
    try:
        verify_files(folder)
    except CommentwiseError:
        return False
    return True


def main() -> None:
    """Download the bundle that the command line names, and print its folder."""
    uri, store = sys.argv[1:]
    print(download(uri, Path(store)) if uri.startswith(REGISTRY) else uri)


if __name__ == "__main__":
    run_command(main)

"""The champion in the registry: the bundle in production, which need not be the one in the working tree.

After a challenger has lost, the working tree holds the challenger and its split.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from commentwise.errors import CommentwiseError
from commentwise.models.bundle import MANIFEST, bundle_id, verify_files
from commentwise.models.names import bundle_folder, download, user_store
from commentwise.monitoring.project import MonitoredProject


@dataclass(frozen=True)
class Champion:
    """The champion, and the name of its model."""

    model: str
    version: int
    bundle_id: str
    folder: Path
    """The project's bundle if that is the champion, otherwise a downloaded copy."""

    def __str__(self) -> str:
        return f"champion version {self.version} of {self.model!r}"


def find_champion(project: MonitoredProject) -> Champion | None:
    """The champion, downloaded unless the project's bundle is it; None if there is no registry or no champion.

    Raises CommentwiseError if the registry does not answer.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI") and not (project.root / "mlflow.db").is_file():
        return None
    # MLflow takes seconds to import.
    from commentwise.training.registry.tracking import connect
    from commentwise.training.registry.versions import BUNDLE_TAG, champion
    from commentwise.training.settings import load_settings

    model = load_settings(project.params).publish.model
    version = champion(connect(project), model)
    if version is None:
        return None
    own = bundle_id(project.bundle) if (project.bundle / MANIFEST).is_file() else None
    if own and own == version.tags.get(BUNDLE_TAG):
        return Champion(model, int(version.version), own, project.bundle)
    folder = download(f"models:/{model}/{version.version}", user_store())
    return Champion(model, int(version.version), bundle_id(folder), folder)


def bundle_in_production(project: MonitoredProject, name: str | None, command: str) -> Path:
    """The folder of the bundle with this name, by default of the champion; without one, the project's bundle.

    Says so in the name of `command` if the working tree holds another bundle than the champion. Raises CommentwiseError
    like `find_champion`.
    """
    if name:
        return bundle_folder(name)
    champion = find_champion(project)
    if champion is None:
        return project.bundle
    if champion.folder != project.bundle:
        print(f"{command}: {champion} is fetched from the registry: {project.bundle} is another bundle", flush=True)
    return champion.folder


@contextmanager
def split_of(bundle: Path, data: Path, root: Path) -> Iterator[Path]:
    """The split that `bundle` was trained on: `data`, or a temporary copy from DVC's cache if `data` is another split.

    Raises CommentwiseError if it is in neither.
    """
    # These need git and DVC, which reading a reference does not.
    from commentwise.training.provenance import folder_md5

    trained_on = verify_files(bundle).data.get("prepared_md5")
    if not trained_on or trained_on == folder_md5(data):
        yield data
        return
    with TemporaryDirectory(prefix="commentwise-") as folder:
        try:
            from commentwise.training.data.stored import store

            with store(root) as kept:
                kept.copy_folder(trained_on, Path(folder), "its comments")
        except (CommentwiseError, ImportError) as error:
            raise CommentwiseError(
                f"{data} is not the split that {bundle} was trained on, and {error}; or name another folder with --data"
            ) from None
        print(f"reference: its split is taken from DVC's cache: {data} is another split", flush=True)
        yield Path(folder)

"""The layout of a project's folder, with the files of monitoring."""

from dataclasses import dataclass
from pathlib import Path

from commentwise.training.project import Project


@dataclass(frozen=True)
class MonitoredProject(Project):
    """A project whose bundle is in production; the current folder by default."""

    @property
    def monitoring(self) -> Path:
        """The folder of the report and of the alerts' state."""
        return self.root / "artifacts/monitoring"

    @property
    def reference(self) -> Path:
        """The reference of the bundle in production."""
        return self.monitoring / "reference.json"

    @property
    def retraining(self) -> Path:
        """The folder of the retrainings' record, and of the current retraining's state."""
        return self.root / "artifacts/retraining"

    @property
    def retraining_data(self) -> Path:
        """The folder of the comments that retrainings ran on."""
        return self.root / "data/retrain"

"""The paths that monitoring reads and writes."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """The paths of a project, which is the current folder by default."""

    root: Path = Path()

    @property
    def params(self) -> Path:
        """All settings of the pipeline."""
        return self.root / "params.yaml"

    @property
    def stages(self) -> Path:
        """DVC's description of the pipeline."""
        return self.root / "dvc.yaml"

    @property
    def lock(self) -> Path:
        """The hashes that DVC recorded in the last run."""
        return self.root / "dvc.lock"

    @property
    def prepared(self) -> Path:
        """The folder of the split."""
        return self.root / "data/prepared"

    def part(self, name: str) -> Path:
        """The Parquet file of one part of the split: train, validation or test."""
        return self.prepared / f"{name}.parquet"

    @property
    def bundle(self) -> Path:
        """The bundle that is published and served."""
        return self.root / "artifacts/bundle"

    @property
    def monitoring(self) -> Path:
        """The report, and the state of alerts."""
        return self.root / "artifacts/monitoring"

    @property
    def reference(self) -> Path:
        """The reference of the bundle in production."""
        return self.monitoring / "reference.json"

    @property
    def retraining(self) -> Path:
        """The record of all retrainings, and the state of the current one."""
        return self.root / "artifacts/retraining"

    @property
    def retraining_data(self) -> Path:
        """The comments that retrainings were run on."""
        return self.root / "data/retrain"

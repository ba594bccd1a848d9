"""The layout of a project's folder: every path of the pipeline, relative to one root."""

from dataclasses import dataclass
from pathlib import Path

PARTS = ("train", "validation", "test")
HELD_OUT = ("validation", "test")
"""The parts that are not used for training."""


@dataclass(frozen=True)
class Project:
    """The folder with params.yaml and dvc.yaml, by default the current one.

    Examples
    --------
    >>> Project(Path("/data/comments")).candidate("svm").as_posix()
    '/data/comments/artifacts/candidates/svm'
    """

    root: Path = Path()

    @property
    def params(self) -> Path:
        """All settings of the pipeline."""
        return self.root / "params.yaml"

    @property
    def lock(self) -> Path:
        """DVC's hashes of the last run."""
        return self.root / "dvc.lock"

    @property
    def raw(self) -> Path:
        """The comments table as ingested."""
        return self.root / "data/raw/comments.parquet"

    @property
    def raw_rejects(self) -> Path:
        """Rows that ingest set aside."""
        return self.root / "data/raw/rejects.csv"

    @property
    def prepared(self) -> Path:
        """The folder of the split."""
        return self.root / "data/prepared"

    def part(self, name: str) -> Path:
        """The Parquet file of one part of the split: train, validation or test."""
        return part_file(self.prepared, name)

    @property
    def unlabelled(self) -> Path:
        """Prepared comments without a label."""
        return self.prepared / "unlabelled.parquet"

    @property
    def prepared_rejects(self) -> Path:
        """Comments that prepare set aside."""
        return self.prepared / "rejects.csv"

    @property
    def data_report(self) -> Path:
        """The data report as JSON. The same report as Markdown is beside it."""
        return self.root / "reports/data.json"

    @property
    def candidates(self) -> Path:
        """The folder of all candidates."""
        return self.root / "artifacts/candidates"

    def candidate(self, family: str) -> Path:
        """The folder of a family's candidate."""
        return self.candidates / family

    def resources(self, family: str) -> Path:
        """Time and memory of a family's training. Not versioned, because it differs between identical runs."""
        return self.root / "artifacts/resources" / f"{family}.json"

    @property
    def evaluation(self) -> Path:
        """The folder of all evaluations."""
        return self.root / "artifacts/evaluation"

    def evaluated(self, family: str) -> Path:
        """The scores of a family's candidate."""
        return self.evaluation / family / "metrics.json"

    @property
    def baselines(self) -> Path:
        """Scores of models that are not served, for comparison."""
        return self.root / "artifacts/baselines.json"

    @property
    def selection(self) -> Path:
        """The choice among the candidates, and its reason."""
        return self.root / "artifacts/selection.json"

    @property
    def winner(self) -> Path:
        """A copy of the chosen candidate and its evaluation."""
        return self.root / "artifacts/winner"

    @property
    def bundle(self) -> Path:
        """The bundle that is published and served."""
        return self.root / "artifacts/bundle"

    @property
    def export_report(self) -> Path:
        """The measurements of every variant in export."""
        return self.root / "artifacts/export.json"

    @property
    def report(self) -> Path:
        """The page about data, choice, quality and origin of the last run."""
        return self.root / "artifacts/report.html"

    @property
    def seeds_report(self) -> Path:
        """The report of `commentwise seeds`."""
        return self.root / "reports/seeds.json"

    @property
    def tune_report(self) -> Path:
        """The report of `commentwise tune`."""
        return self.root / "reports/tune.json"

    @property
    def build(self) -> Path:
        """Checkpoints, trials and other files that can be deleted at any time."""
        return self.root / "build"


def part_file(folder: Path, name: str) -> Path:
    """The Parquet file of one part of the split in `folder`."""
    return folder / f"{name}.parquet"

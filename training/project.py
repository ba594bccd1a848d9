"""Where the pipeline's files lie, relative to the repository's root, in which every command runs."""

from pathlib import Path

RAW = Path("data/raw/comments.parquet")
RAW_REJECTS = Path("data/raw/rejects.csv")

PREPARED = Path("data/prepared")
PARTS = ("train", "validation", "test")
UNLABELLED = PREPARED / "unlabelled.parquet"
PREPARED_REJECTS = PREPARED / "rejects.csv"
DATA_REPORT = Path("reports/data")

LINEAR_FAMILIES = ("logreg", "svm")
FAMILIES = (*LINEAR_FAMILIES, "bert")
CANDIDATES = Path("artifacts/candidates")
EVALUATION = Path("artifacts/evaluation")
REFERENCE = Path("artifacts/reference.json")
SELECTION = Path("artifacts/selection.json")
WINNER = Path("artifacts/winner")
BUNDLE = Path("artifacts/bundle")
SEEDS_REPORT = Path("reports/seeds.json")
TUNE_REPORT = Path("reports/tune.json")
EXPORT_REPORT = Path("artifacts/export.json")


def part_file(part: str, folder: Path = PREPARED) -> Path:
    """The Parquet file of one part of the split: train, validation or test."""
    return folder / f"{part}.parquet"

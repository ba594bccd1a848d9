"""The data sets of benchmarks/datasets.yaml, and the types of their result files.

The result files, written by benchmarks.results and read by the report, embed reports of the pipeline's stages. The types
name the keys of these reports that are shown.
"""

from pathlib import Path
from typing import Literal, cast

import yaml
from typing_extensions import TypedDict

from benchmarks.result import Head, Interval, Machine

DATASETS = Path("benchmarks/datasets.yaml")

DatasetName = Literal["youtube", "semeval2017", "youtube_after_semeval"]
NAMES: tuple[DatasetName, ...] = ("youtube", "semeval2017", "youtube_after_semeval")
"""To add a data set: describe it in benchmarks/datasets.yaml, and add its name here and to the Results of the report."""


class Dataset(TypedDict):
    """A data set of benchmarks/datasets.yaml."""

    title: str
    source: str
    params: dict[str, str | int | float]
    """Parameters of the pipeline that differ from params.yaml, by dotted name."""


class Part(TypedDict):
    """One part of the split."""

    comments: int


class Copies(TypedDict):
    """Comments that are copies of others."""

    exact: int
    near: int


class Data(TypedDict):
    """The data report."""

    comments: int
    rejects: dict[str, int]
    """Rows set aside, by reason."""
    parts: dict[str, Part]
    copies: Copies


class Selection(TypedDict):
    """The report of stage select."""

    winner: str
    reason: str


class PlainScores(TypedDict):
    """Scores without intervals."""

    accuracy: float
    macro_f1: float
    macro_recall: float


class Reference(TypedDict):
    """A linear model on words and characters, for comparison."""

    validation: PlainScores
    test: PlainScores


class Scores(TypedDict):
    """Scores with 95% intervals."""

    accuracy: Interval
    macro_f1: Interval
    macro_recall: Interval


class Evaluated(TypedDict):
    """A family on one part."""

    scores: Scores
    ece_calibrated: float


class Resources(TypedDict, total=False):
    """The cost of training; empty for a candidate from DVC's cache."""

    seconds: float
    device: str


class Family(TypedDict):
    """A family on the held-out parts."""

    validation: Evaluated
    test: Evaluated
    resources: Resources


class Lead(TypedDict):
    """A difference of macro-F1 with its 95% interval."""

    difference: float
    low: float
    high: float


class BatchEffect(TypedDict, total=False):
    """The changes that padded batches make to a variant's answers; empty for fp16, which is measured in batches."""

    comments: int
    label_changes: int
    shift: float


class ExportVariant(TypedDict):
    """A graph that the export measured."""

    file: str
    size: int
    comments_per_second: float | None
    """None for fp16, which only a GPU serves."""
    f1_loss: float
    agreement: float
    refused_because: list[str]
    in_batches: BatchEffect


class Export(TypedDict):
    """The report of stage export."""

    family: str
    machine: Machine
    test_comments: int
    devices: dict[str, str]
    """The graph that each device serves."""
    variants: list[ExportVariant]
    torch_fp32_comments_per_second: float | None


class DatasetResult(Head):
    """A file such as youtube.json."""

    data: Data
    selection: Selection
    reference: dict[str, Reference]
    families: dict[str, Family]
    bert_lead_on_test: dict[str, Lead]
    export: Export


def read_datasets() -> dict[str, Dataset]:
    """The data sets by name."""
    return cast(dict[str, Dataset], yaml.safe_load(DATASETS.read_text(encoding="utf-8")))

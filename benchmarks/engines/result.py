"""Types of engines.json and int8.json, written by benchmarks.engines and benchmarks.engines.int8 and read by the report."""

from collections.abc import Mapping
from typing import Literal, NotRequired, final

from typing_extensions import TypedDict

from benchmarks.latency import Latency
from benchmarks.result import Head, Interval, Missing, Rounds

PeakName = Literal["fp32_gflops", "bf16_gflops", "int8_gops"]
PEAKS: dict[str, PeakName] = {"fp32": "fp32_gflops", "bf16": "bf16_gflops", "int8": "int8_gops"}
"""The measured peak, by the precision whose arithmetic it limits."""

STUDY_SERVED = "dynamic int8, smoothed"
"""The variant of the study that the export serves, one comment at a time, if its limits leave only that."""
StudyWay = Literal["alone", "batches"]
STUDY_WAYS: dict[StudyWay, str] = {"alone": "one at a time", "batches": "in batches"}


class Peaks(TypedDict):
    """Billions of operations per second of large matrix products."""

    fp32_gflops: Rounds
    bf16_gflops: Rounds
    int8_gops: Rounds


class Quality(TypedDict):
    """Answers of an engine compared with those of fp32 (commentwise.training.choice.parity)."""

    macro_f1: float
    f1_loss: float
    agreement: float
    """Share of comments that get fp32's label."""
    largest_difference: float
    neighbour_label_changes: int
    neighbour_shift: float


class Speed(TypedDict):
    """Speed and latency of an engine at one batch size."""

    comments_per_second: float
    rounds: list[float]
    latency_ms: Latency | None
    """Of a call with one batch."""
    cpu_ms_per_comment: float


class Batch(Speed):
    """An engine at one batch size."""

    neighbour_label_changes: int
    """Comments whose label differs from that of the comment alone."""
    neighbour_shift: float
    """The largest change of a probability."""


class CascadeChoice(TypedDict):
    """The rule of the cascade, chosen on the validation part."""

    linear: str
    threshold: float
    share_answered_by_linear: float
    limit: float


@final
class Engine(TypedDict):
    """An engine that was measured."""

    runtime: str
    precision: str
    what: str
    size: int
    """Bytes of weights and graph on disk."""
    ece: float
    macro_f1: Interval
    batches: dict[str, Batch]
    """By batch size."""
    best: str
    """The batch size that is fastest without neighbours changing an answer."""
    quality: Quality
    """At that batch size."""
    share_of_peak: float | None
    """None where it is not comparable: a GPU, or a cascade."""
    cascade: NotRequired[CascadeChoice]


class Model(TypedDict):
    """A model that a bundle may serve."""

    macro_f1: Interval
    ece: float
    comments_per_second: float
    rounds: list[float]
    size: int
    parameters: int


class Encoder(TypedDict):
    """The encoder that all engines run."""

    family: str
    checkpoint: str
    labels: list[str]
    parameters: int


class Comments(TypedDict):
    """The test comments."""

    test: int
    timed: int
    mean_tokens: float
    median_tokens: float
    longest_tokens: int


class EnginesResult(Head):
    """engines.json."""

    seed: int
    rounds: int
    seconds: float
    data: str
    model: Encoder
    comments: Comments
    peak: Peaks
    operations_per_comment: float
    engines: dict[str, Engine | Missing]
    served: str
    """Name of the engine that the bundle serves."""
    pipeline: str
    """Name of the engine that represents common practice."""
    models: dict[str, Model]


class Study(Quality):
    """A variant of the study of int8, served in one way."""

    refused_because: list[str]
    comments_per_second: float
    comments_per_second_rounds: list[float]


class StudyVariant(TypedDict):
    """A variant of the study of int8."""

    runtime: str
    name: str
    precision: str
    what: str
    size: int
    alone: Study
    """One comment per call."""
    batches: Study


class Limits(TypedDict):
    """The limits that a variant must stay within to be exported."""

    max_f1_loss: float
    min_agreement: float
    max_shift: float


class Int8Result(Head):
    """int8.json."""

    checkpoint: str
    prepared_md5: str
    test_comments: int
    calibration_comments: int
    batch_size: int
    neighbour_comments: int
    seed: int
    rounds: int
    repeats: int
    timed_comments: int
    limits: Limits
    missing: dict[str, str]
    """Runtimes that are not installed, with the command that installs them."""
    variants: list[StudyVariant]


def measured_engines(engines: Mapping[str, Engine | Missing]) -> dict[str, Engine]:
    """The engines that were measured."""
    return {name: engine for name, engine in engines.items() if "batches" in engine}


def best_batch(engine: Engine) -> Batch:
    """An engine's figures at its best batch size."""
    return engine["batches"][engine["best"]]


def engine_speed(engine: Engine) -> float:
    """Comments per second of an engine at its best batch size."""
    return best_batch(engine)["comments_per_second"]


def speed_limit(result: EnginesResult, precision: str) -> float | None:
    """Comments per second at the measured peak of a precision if only the model's matrix products took time.

    None for a precision without a measured peak.
    """
    name = PEAKS.get(precision)
    return 1e9 * result["peak"][name]["value"] / result["operations_per_comment"] if name else None

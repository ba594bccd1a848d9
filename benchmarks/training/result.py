"""Types of training.json, written by benchmarks.training and read by the report."""

from typing import final

from typing_extensions import TypedDict

from benchmarks.result import Head


class TrainingMachine(TypedDict):
    """The machine; `device` is the GPU or the processor."""

    device: str
    cores: int
    python: str


class Comments(TypedDict):
    """The training comments."""

    count: int
    epochs: int
    mean_tokens: float


class Run(TypedDict):
    """One run of one contender."""

    comments_per_second: float
    mfu: float
    """Model FLOPs utilisation: share of the device's peak."""
    test_macro_f1: float | None
    """None without a test part."""
    comments: Comments


class Contender(TypedDict):
    """Medians over the runs of a contender."""

    comments_per_second: float
    range: list[float]
    """Slowest and fastest run."""
    mfu: float
    test_macro_f1: float | None


class TrainingResult(TypedDict):
    """training.json."""

    command: str
    machine: TrainingMachine
    versions: dict[str, str]
    comments: Comments
    seed: int
    contenders: dict[str, Contender]
    ratios: dict[str, float]
    """Our speed over each other contender's."""


def head(result: TrainingResult) -> Head:
    """The facts of a run in the form that all other results have; the commit is not recorded."""
    machine = result["machine"]
    return {
        "command": result["command"],
        "machine": {"processor": machine["device"], "cores": machine["cores"]},
        "environment": {"python": machine["python"], "system": "", "packages": result["versions"]},
        "git": {"commit": None, "dirty": []},
    }


@final
class Refused(TypedDict):
    """An architecture that does not get as far as a served bundle."""

    name: str
    packed: bool
    stage: str
    """The stage that failed: check, train, evaluate, export or serve."""
    reason: str


@final
class Served(TypedDict):
    """An architecture that was trained, exported and served."""

    name: str
    packed: bool
    check_seconds: float
    """Time of the check before training."""
    test_macro_f1: float
    variants: dict[str, float]
    """Share of fp32's labels that each variant of the graph gives, by file."""
    dropped: dict[str, str]
    """Files of the variants that could not be written or run, with the reason."""
    logit_difference: float
    """Largest difference between a logit of fp32.onnx and of torch."""
    graph: str
    """The graph that the bundle serves on the CPU."""
    served_agreement: float
    """Share of torch's labels that the served bundle gives."""


class ArchitecturesResult(Head):
    """architectures.json."""

    architectures: list[Served | Refused]

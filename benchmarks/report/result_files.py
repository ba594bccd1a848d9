"""The result files: their names, types and commands, and reading them."""

from pathlib import Path
from typing import Any, Literal, cast, get_type_hints

from typing_extensions import TypedDict

from benchmarks.datasets import DatasetName, DatasetResult
from benchmarks.engines.result import EnginesResult, Int8Result
from benchmarks.result import Head, parse_result
from benchmarks.scale.result import FootprintResult, ScaleResult
from benchmarks.servers.result import ServingResult
from benchmarks.training.result import TrainingResult, head

RESULTS = Path("benchmarks/results")
REPORT = RESULTS / "report"

ResultName = Literal["engines", "serving", "training", "scale", "footprint", "int8"] | DatasetName

COMMANDS: dict[ResultName, str] = {
    "engines": "python -m benchmarks --only engines",
    "serving": "python -m benchmarks --only serving",
    "training": "python -m benchmarks --only training",
    "scale": "python -m benchmarks --only scale",
    "footprint": "python -m benchmarks --only footprint",
    "int8": "python -m benchmarks.engines.int8",
    "youtube": "python -m benchmarks.results youtube",
    "semeval2017": "python -m benchmarks.results semeval2017",
    "youtube_after_semeval": "python -m benchmarks.results youtube_after_semeval",
}
"""The stem of every result file that the report reads, and the command that writes it."""


class Results(TypedDict, total=False):
    """The result files of a folder, by stem."""

    engines: EnginesResult
    serving: ServingResult
    training: TrainingResult
    scale: ScaleResult
    footprint: FootprintResult
    int8: Int8Result
    youtube: DatasetResult
    semeval2017: DatasetResult
    youtube_after_semeval: DatasetResult


def read_results(folder: Path) -> Results:
    """Read the result files of a folder. Raises CommentwiseError naming file and key if one is not of its type."""
    paths = {name: folder / f"{name}.json" for name in COMMANDS}
    texts = {name: path.read_text(encoding="utf-8") for name, path in paths.items() if path.exists()}
    return parse_results(texts, {name: str(path) for name, path in paths.items()})


def parse_results(texts: dict[ResultName, str], sources: dict[ResultName, str]) -> Results:
    """Parse result files from their JSON; `sources` names them in errors."""
    kinds: dict[str, Any] = get_type_hints(Results)
    return cast(Results, {name: parse_result(kinds[name], text, sources[name]) for name, text in texts.items()})


def heads(results: Results) -> dict[str, Head]:
    """The head of every result, by name."""
    found: dict[str, Head] = {name: results[name] for name in COMMANDS if name in results and name != "training"}
    return found | ({"training": head(results["training"])} if "training" in results else {})

"""The pictures beside the result files and documents: charts of the report as light PNGs."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.datasets import DatasetResult
from benchmarks.report.chapters import growth, over_http, quality
from benchmarks.report.drawing import LIGHT, save_png
from benchmarks.servers.result import ServingResult
from benchmarks.training.result import TrainingResult


def draw_quality(results: Mapping[str, DatasetResult], titles: Mapping[str, str], path: Path) -> None:
    """Write a PNG with one panel per data set: each family's test macro-F1 with its 95% interval."""
    save_png(quality.draw_datasets(results, titles, LIGHT), path, LIGHT)


def draw_training(result: TrainingResult, path: Path) -> None:
    """Write a PNG with a bar per contender: comments per second, and our lead over it."""
    save_png(growth.draw_training(result, LIGHT), path, LIGHT)


def draw_serving(result: ServingResult, path: Path) -> None:
    """Write a PNG: each server's requests per second next to the engine's, and the open loop at rising rates."""
    save_png(over_http.draw_servers_and_overload(result, LIGHT), path, LIGHT)

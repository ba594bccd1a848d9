"""The pictures that stand beside a benchmark's own figures: the report's charts, as light PNGs."""

from pathlib import Path
from typing import Any

from benchmarks.report import growth, quality, servers
from benchmarks.report.drawing import LIGHT, save_png


def draw_quality(results: dict[str, Any], titles: dict[str, str], path: Path) -> None:
    """Write a PNG with one panel per data set: each family's test macro-F1 with its 95% interval."""
    save_png(quality.draw_datasets(results, titles, LIGHT), path, LIGHT)


def draw_training(result: dict[str, Any], path: Path) -> None:
    """Write a PNG with a bar per contender: comments per second, and our lead over it."""
    save_png(growth.draw_training(result, LIGHT), path, LIGHT)


def draw_serving(result: dict[str, Any], path: Path) -> None:
    """Write a PNG: each server's requests per second next to the engine's, and what came of arrivals beyond them."""
    save_png(servers.draw_servers_and_overload(result, LIGHT), path, LIGHT)

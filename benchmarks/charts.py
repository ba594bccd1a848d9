"""Pictures of what the benchmarks measured."""

from pathlib import Path
from typing import Any

import matplotlib

from models.files import atomic_file

matplotlib.use("agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, ACCENT, QUIET = "#24292f", "#0b6e99", "#8c959f"


def draw_quality(results: dict[str, Any], titles: dict[str, str], path: Path) -> None:
    """Write a PNG with one panel per data set: each family's test macro-F1 with its 95% interval."""
    figure = Figure(figsize=(4.6 * len(results), 2.4), layout="constrained")
    panels = figure.subplots(1, len(results), squeeze=False)[0]
    for panel, (name, result) in zip(panels, results.items(), strict=True):
        _draw_panel(panel, result)
        panel.set_title(titles[name], loc="left", fontsize=11, color=INK)
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=160)


def draw_training(result: dict[str, Any], path: Path) -> None:
    """Write a PNG with a bar per contender: comments per second, and our lead over it."""
    contenders = result["contenders"]
    figure = Figure(figsize=(6.4, 2.2), layout="constrained")
    panel = figure.subplots()
    for height, (name, facts) in enumerate(contenders.items()):
        low, high = facts["range"]
        speed = facts["comments_per_second"]
        panel.barh(height, speed, color=QUIET if name in result["ratios"] else ACCENT, height=0.6)
        panel.plot([low, high], [height, height], color=INK, linewidth=1)
        note = f" {speed:,.0f}" + (f"  (we are {result['ratios'][name]}× as fast)" if name in result["ratios"] else "")
        inside = speed > 0.6 * max(facts["comments_per_second"] for facts in contenders.values())
        panel.annotate(
            note,
            (low if inside else high, height),
            (-4 if inside else 4, 0),
            textcoords="offset points",
            ha="right" if inside else "left",
            va="center",
            color="white" if inside else INK,
            fontsize=9,
        )
    panel.set_yticks(range(len(contenders)), list(contenders))
    panel.invert_yaxis()
    panel.set_title("fine-tuning, comments per second", loc="left", fontsize=11, color=INK)
    panel.set_xlabel(f"{result['machine']['device']}, {result['machine']['cores']} cores", fontsize=8, color=INK)
    panel.tick_params(colors=INK, labelsize=9)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=160)


def draw_serving(result: dict[str, Any], path: Path) -> None:
    """Write a PNG: each server's requests per second next to the engine's, and our latency as the load grows."""
    servers = result["servers"]
    figure = Figure(figsize=(10.4, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    engine = result["engine"]["comments_per_second"]
    bars = {"the engine alone": (engine, f" {engine:,.0f}")}
    for name, measured in servers.items():
        speed = measured.get("peak_per_second", 0)
        bars[name] = (speed, f" {speed:,.0f}  ({measured['share_of_engine']:.0%})" if speed else " not measured")
    for height, (name, (speed, note)) in enumerate(bars.items()):
        left.barh(height, speed, color=ACCENT if name == next(iter(servers)) else QUIET, height=0.6)
        left.annotate(note, (speed, height), va="center", color=INK, fontsize=9)
    left.set_yticks(range(len(bars)), list(bars))
    left.invert_yaxis()
    left.set_xlim(0, 1.25 * max(speed for speed, _ in bars.values()))
    left.set_title("one comment per request, requests per second", loc="left", fontsize=11, color=INK)
    left.set_xlabel(f"share of the engine's speed beside it; {result['machine']['processor']}, {result['machine']['cores']} cores", fontsize=8, color=INK)  # fmt: skip
    for name, measured in servers.items():
        if "open" in measured:
            _draw_open_loop(right, measured["open"], ACCENT if name == next(iter(servers)) else QUIET)
    right.set_yscale("log")
    right.set_title("open loop: p99 latency in ms", loc="left", fontsize=11, color=INK)
    right.set_xlabel("rate over the closed loop's peak;  %: of it answered in time", fontsize=8, color=INK)  # fmt: skip
    for panel in (left, right):
        panel.tick_params(colors=INK, labelsize=9)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    left.spines["left"].set_visible(False)
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=160)


def _draw_open_loop(panel: Axes, rounds: list[dict[str, Any]], colour: str) -> None:
    places = range(len(rounds))
    latencies = [facts["latency_ms"]["p99"] if facts["latency_ms"] else float("nan") for facts in rounds]
    panel.plot(places, latencies, "o-", color=colour)
    panel.set_xticks(places, [f"{facts['rate_over_peak']:g}×" for facts in rounds])
    for place, latency, facts in zip(places, latencies, rounds, strict=True):
        panel.annotate(f"{facts['goodput_over_peak']:.0%}", (place, latency), (0, 6), textcoords="offset points", ha="center", color=colour, fontsize=8)  # fmt: skip


def _draw_panel(panel: Axes, result: dict[str, Any]) -> None:
    rows = [(family, facts["test"]["scores"]["macro_f1"]) for family, facts in result["families"].items()]
    for height, (family, score) in enumerate(rows):
        colour = ACCENT if family == result["selection"]["winner"] else QUIET
        panel.plot([score["low"], score["high"]], [height, height], color=colour, linewidth=3, solid_capstyle="round")
        panel.plot(score["value"], height, "o", color=colour, markersize=8)
        panel.annotate(
            f"{score['value']:.3f}",
            (score["value"], height),
            (0, 8),
            textcoords="offset points",
            ha="center",
            color=INK,
            fontsize=9,
        )
        if family in result["reference"]:
            panel.plot(result["reference"][family]["test"]["macro_f1"], height, "|", color=INK, markersize=14)
    panel.set_yticks(range(len(rows)), [family for family, _ in rows])
    panel.set_ylim(-0.5, len(rows) - 0.3)
    panel.set_xlabel("macro-F1 on the test part, 95% interval;  | words and characters", fontsize=8, color=INK)
    panel.tick_params(colors=INK, labelsize=9)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)
    panel.grid(axis="x", color="#d0d7de", linewidth=0.6)

"""The picture of the README: how good the families are on each data set."""

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

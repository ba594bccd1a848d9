"""The common look of all charts: colours, bars with their names above, and SVG or PNG from the same drawing."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib

from commentwise.fileio import atomic_file

matplotlib.use("agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 5.0
"""Inches, 360 units in the SVG: a narrow screen shows the text at its nominal size."""
SMALL, TEXT = 9.5, 11


@dataclass(frozen=True)
class Palette:
    """Colours that colour-blind readers can distinguish, for a dark or a light background."""

    ink: str
    muted: str
    grid: str
    ours: str
    peer: str
    other: str
    ground: str


LIGHT = Palette("#1f2328", "#59636e", "#d1d9e0", "#0b6e99", "#9aa4ae", "#b35900", "#ffffff")
DARK = Palette("#e6edf3", "#9198a1", "#30363d", "#4db3e6", "#6e7681", "#f0a35e", "#0d1117")
PAGE = Palette("#a00001", "#a00002", "#a00003", "#a00004", "#a00005", "#a00006", "#a00007")
"""Placeholders for the colours of the HTML page, which no other drawing uses."""


Role = Literal["ours", "peer", "limit"]


@dataclass(frozen=True)
class Bar:
    """A value with its name, note and range; without a value, only name and note are drawn."""

    name: str
    value: float | None
    note: str
    role: Role = "peer"
    span: tuple[float, float] | None = None


def canvas(palette: Palette, height: float, rows: int = 1, **grid: Any) -> tuple[Figure, list[Axes]]:
    """A figure with panels one below the other."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="none")
    panels = list(figure.subplots(rows, 1, squeeze=False, **grid)[:, 0])
    for panel in panels:
        panel.set_facecolor("none")
        panel.tick_params(colors=palette.muted, labelsize=SMALL, length=0)
        panel.xaxis.label.set(color=palette.muted, fontsize=SMALL)
        panel.yaxis.label.set(color=palette.muted, fontsize=SMALL)
        panel.set_axisbelow(True)
        for side in panel.spines.values():
            side.set_visible(False)
    return figure, panels


def titled(panel: Axes, title: str, palette: Palette) -> None:
    """Set a panel's title."""
    panel.set_title(title, loc="left", fontsize=TEXT, color=palette.ink, fontweight="bold")


def gridded(panel: Axes, palette: Palette, axis: Literal["x", "y", "both"] = "both") -> None:
    """Draw grid lines."""
    panel.grid(axis=axis, color=palette.grid, linewidth=0.7)


def legend(panel: Axes, palette: Palette, columns: int = 3) -> None:
    """Draw the legend below a panel."""
    drawn = panel.legend(loc="upper left", bbox_to_anchor=(0, -0.2), ncols=columns, frameon=False, fontsize=SMALL, handletextpad=0.4, columnspacing=1)  # fmt: skip
    for text in drawn.get_texts():
        text.set_color(palette.ink)


def bar_height(count: int) -> float:
    """Height in inches of a panel with `count` bars, title included."""
    return 0.4 + 0.44 * count


def row_name(panel: Axes, name: str, height: float, palette: Palette, weight: str = "normal") -> None:
    """Write the name of a row above it, so that the row can use the full width."""
    panel.annotate(name, (0, height - 0.3), va="center", color=palette.ink, fontsize=SMALL, fontweight=weight)


def bars(panel: Axes, rows: Sequence[Bar], palette: Palette, title: str) -> None:
    """Draw horizontal bars, each below its name and followed by its note."""
    colours = {"ours": palette.ours, "peer": palette.peer, "limit": "none"}
    widest = max((max(row.value, *(row.span or ())) if row.span else row.value for row in rows if row.value), default=1)
    for height, row in enumerate(rows):
        weight = "bold" if row.role == "ours" else "normal"
        row_name(panel, row.name, height, palette, weight)
        if row.value is None:
            panel.annotate(
                row.note, (0, height + 0.14), va="center", color=palette.muted, fontsize=SMALL, style="italic"
            )
            continue
        edge = palette.muted if row.role == "limit" else "none"
        panel.barh(height + 0.14, row.value, height=0.38, color=colours[row.role], edgecolor=edge, linestyle="--", linewidth=1)  # fmt: skip
        end = row.value
        if row.span:
            panel.plot(row.span, [height + 0.14] * 2, color=palette.ink, linewidth=1)
            end = max(end, row.span[1])
        panel.annotate(row.note, (end, height + 0.14), (5, 0), textcoords="offset points", va="center", color=palette.ink, fontsize=SMALL, fontweight=weight)  # fmt: skip
    panel.set_xlim(0, 1.42 * widest)
    panel.set_ylim(len(rows) - 0.5, -0.6)
    panel.set_xticks([])
    panel.set_yticks([])
    titled(panel, title, palette)


def save_png(figure: Figure, path: Path, palette: Palette) -> None:
    """Write a PNG with the palette's background."""
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=160, facecolor=palette.ground)


def svg(figure: Figure, name: str) -> str:
    """The <svg> element of a figure drawn with PAGE; text stays text, and the colours become CSS variables of the page."""
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<(metadata|style).*?</\1>\s*", "", text, flags=re.DOTALL)
    for field, colour in vars(PAGE).items():
        text = text.replace(colour, f"var(--{field})")
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--font)", text)
    text = re.sub(r'<svg[^>]*?viewBox="([^"]*)"[^>]*>', r'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="\1" aria-hidden="true">', text)  # fmt: skip
    # Ids are unique within a drawing only, so the drawing's name makes them unique in the page.
    return re.sub(r'((?:\bid|href)="#?|url\(#)', rf"\g<1>{name}-", text)

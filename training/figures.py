"""Figures of pages, as SVG text that is the same for the same values."""

import io
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, GREY = "#2563eb", "#94a3b8"
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "grid.color": "#e2e8f0",
    "svg.hashsalt": "commentwise",
}
"""Settings of matplotlib, for `rc_context`."""


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of this size in inches with one pair of axes."""
    return plt.subplots(figsize=(width, height), layout="constrained")


def as_svg(figure: Figure) -> str:
    """The figure as an element `svg` of HTML; closes the figure."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None}, transparent=True)
    plt.close(figure)
    text = stream.getvalue()
    return text[text.index("<svg") :]

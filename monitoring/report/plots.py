"""The report's plots, as SVG text."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from commentwise.monitoring.signals.analysis import Analysis
from commentwise.monitoring.signals.rows import Floats
from commentwise.monitoring.signals.signal import Signal
from commentwise.training.figures import BLUE, GREY, STYLE, as_svg, new_figure

COLOURS = {"none": "#2563eb", "warn": "#d97706", "alert": "#dc2626"}
DRAWS = 400
"""Windows drawn from the reference for the grey band."""


@mpl.rc_context(STYLE)
def performance_plot(analysis: Analysis) -> str:
    """Plot estimated accuracy per window with its interval, the reference's accuracy, and the accuracy by feedback."""
    figure, axes = new_figure(7.4, 2.9)
    places = np.arange(len(analysis.verdicts))
    found = [estimate["accuracy"] for estimate in analysis.estimates]
    before = analysis.baseline
    axes.axhspan(before.low, before.high, color=GREY, alpha=0.2, lw=0)
    axes.axhline(before.value, color=GREY, lw=1, label=f"on the reference: {before.value:.2f}")
    axes.fill_between(
        places, [score.low for score in found], [score.high for score in found], color=BLUE, alpha=0.15, lw=0
    )
    axes.plot(
        places, [score.value for score in found], color=BLUE, marker="o", ms=4, label="estimated, with 95% interval"
    )
    counted = [(place, score) for place, (score, _) in zip(places, analysis.realised, strict=True) if score]
    if counted:
        values = np.array([[score.value - score.low, score.high - score.value] for _, score in counted]).T
        axes.errorbar(
            [place + 0.08 for place, _ in counted],
            [score.value for _, score in counted],
            values,
            fmt="s",
            ms=4,
            color="#0f766e",
            lw=1,
            label="by feedback",
        )
    axes.set_ylabel("accuracy")
    axes.legend(loc="lower left", frameon=False, fontsize=8)
    _label_windows(axes, analysis)
    return as_svg(figure)


@mpl.rc_context(STYLE)
def signal_plot(signal: Signal, analysis: Analysis) -> str:
    """Plot a signal per window; 95% of the windows that resemble the reference lie within the grey band."""
    figure, axes = new_figure(3.3, 1.8)
    values, band = _series(signal, analysis)
    places = np.arange(len(values))
    if band:
        axes.axhspan(*band, color=GREY, alpha=0.25, lw=0)
    axes.plot(places, values, color=GREY, lw=1, zorder=1)
    colours = [COLOURS[verdict.severity] if signal.name in verdict.drifted else BLUE for verdict in analysis.verdicts]
    axes.scatter(places, values, c=colours, s=22, zorder=2)
    axes.set_title(signal.title, fontsize=9, loc="left")
    _label_windows(axes, analysis, max_labels=3)
    return as_svg(figure)


@mpl.rc_context(STYLE)
def power_plot(sizes: Sequence[int], curves: Mapping[str, Sequence[float]]) -> str:
    """Plot the share of windows that would be noticed, by their size."""
    figure, axes = new_figure(4.6, 2.5)
    for colour, (loss, shares) in zip((BLUE, "#0f766e"), curves.items(), strict=False):
        axes.plot(
            sizes, shares, marker="o", ms=4, color=colour, label=f"accuracy falls by {100 * float(loss):.0f} points"
        )
    axes.set_xscale("log")
    axes.set_xticks(list(sizes), [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("comments in a window")
    axes.set_ylabel("share noticed")
    axes.legend(frameon=False, fontsize=8)
    return as_svg(figure)


def _series(signal: Signal, analysis: Analysis) -> tuple[list[float], tuple[float, float] | None]:
    """A point per window and the band: means where the signal has a quantity per comment, else the test statistic."""
    expected = signal.method.values(analysis.reference.rows, analysis.reference)
    found = [signal.method.values(verdict.rows, analysis.reference) for verdict in analysis.verdicts]
    means = [float(values.mean()) for values in found if values is not None]
    if expected is not None and len(means) == len(found):
        return means, _band(expected, len(analysis.verdicts[-1].rows))
    return [
        verdict.outcomes[signal.name].statistic if signal.name in verdict.outcomes else np.nan
        for verdict in analysis.verdicts
    ], None


def _band(values: Floats, size: int) -> tuple[float, float]:
    means = np.random.default_rng(0).choice(values, (DRAWS, size)).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _label_windows(axes: Axes, analysis: Analysis, max_labels: int = 8) -> None:
    starts = [datetime.fromtimestamp(float(verdict.rows.time[0]), UTC) for verdict in analysis.verdicts]
    span = starts[-1] - starts[0]
    form = "%d %b" if span.days >= 2 else "%H:%M" if span.total_seconds() >= 600 else "%H:%M:%S"
    step = max(1, -(-len(starts) // max_labels))
    places = range(0, len(starts), step)
    axes.set_xticks(list(places), [f"{starts[place]:{form}}" for place in places])
    axes.set_xlim(-0.3, max(len(starts) - 0.7, 0.7))

"""The charts of the page, as SVG text that is the same for the same figures."""

import matplotlib as mpl

from commentwise.training.figures import BLUE, GREY, STYLE, as_svg, new_figure
from commentwise.training.pages import Html
from commentwise.training.report.results import Rows

GREEN = "#0f766e"


@mpl.rc_context(STYLE)
def reliability_chart(rows: Rows) -> Html:
    """Plot accuracy over confidence: on the diagonal, probabilities can be taken at their word."""
    figure, axes = new_figure(4.4, 3.2)
    counts = [int(row["comments"]) for row in rows]
    axes.plot([0, 1], [0, 1], color=GREY, lw=1, label="perfectly calibrated")
    axes.scatter(
        [float(row["confidence"]) for row in rows],
        [float(row["accuracy"]) for row in rows],
        s=[20 + 280 * count / max(counts) for count in counts],
        color=BLUE,
        alpha=0.6,
        lw=0,
        label="comments (size: their number)",
    )
    axes.set_xlim(min(float(row["confidence"]) for row in rows) - 0.05, 1.03)
    axes.set_ylim(-0.03, 1.05)
    axes.set_xlabel("probability of the predicted label")
    axes.set_ylabel("share that is right")
    axes.legend(frameon=False, fontsize=8, loc="lower right", markerscale=0.5)
    return Html(f"<figure>{as_svg(figure)}</figure>")


@mpl.rc_context(STYLE)
def learning_chart(family: str, rows: Rows) -> Html:
    """Plot the loss on training comments by step, and the macro-F1 on validation comments where it was measured."""
    figure, axes = new_figure(4.4, 3.2)
    losses = [(int(row["step"]), float(row["loss"])) for row in rows if row["loss"]]
    axes.plot(*zip(*losses, strict=True), color=BLUE, lw=1.5)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step")
    axes.set_ylabel("training loss", color=BLUE)
    axes.set_title(family, fontsize=9, loc="left")
    measured = [(int(row["step"]), float(row["validation_macro_f1"])) for row in rows if row.get("validation_macro_f1")]
    if measured:
        right = axes.twinx()
        right.grid(visible=False)
        right.spines["right"].set_visible(True)
        right.plot(*zip(*measured, strict=True), color=GREEN, marker="o", ms=4, lw=1)
        right.set_ylim(0, 1.02)
        right.set_ylabel("validation macro-F1", color=GREEN)
    return Html(f"<figure>{as_svg(figure)}</figure>")

"""The drift report: one self-contained HTML page, and the same figures as JSON.

commentwise drift             # prints a line per window; writes artifacts/monitoring/report.html and report.json
commentwise drift --record    # also logs a run to MLflow, tied to the model's version
"""

from collections.abc import Mapping, Sequence

from pydantic import Field

from commentwise.errors import run_command
from commentwise.fileio import write_json, write_text
from commentwise.monitoring.project import MonitoredProject
from commentwise.monitoring.report.plots import performance_plot, power_plot, signal_plot
from commentwise.monitoring.settings import WindowSettings, read
from commentwise.monitoring.signals.analysis import Analysis, analyse, power_curves
from commentwise.monitoring.signals.drift import ALPHA, FALSE_ALARM_RATE
from commentwise.monitoring.signals.summary import span, window_line
from commentwise.training import pages
from commentwise.training.pages import Html, coloured, marked, section, table

HEADLINES = {
    "none": "As expected",
    "warn": "The comments may have changed",
    "alert": "The comments have changed",
}
ABOUT_ESTIMATES = (
    "Estimated from the probabilities, recalibrated for each window. The estimate accounts for a different mix of comments; it "
    "cannot detect that the same comments have come to mean something else. Only feedback shows that."
)
ABOUT_COLOURS = (
    "Grey band: 95% of the windows that resemble the reference lie within it. Orange: a significant difference in that "
    "window. Red: in the window before it as well."
)
ABOUT_SENSITIVITY = (
    "The share of single windows that raise a warning when the comments become more uncertain and accuracy falls by the "
    "given amount, without the signals that need texts; with them, more windows do. The false-alarm rate is at most "
    f"{FALSE_ALARM_RATE:.0%} of the windows that resemble the reference."
)


class DriftCommand(WindowSettings):
    """Compare production with the reference, and write the report."""

    record: bool = Field(default=False, description="also log the findings to MLflow")


def main() -> None:
    """Write the report; print a line per window and the summary."""
    settings = read(DriftCommand, "drift")
    analysis = analyse(settings)
    write(analysis, settings)
    if settings.record:
        from commentwise.monitoring.report.mlflow_record import record

        record(MonitoredProject(), analysis, settings.out)
    for verdict in analysis.verdicts:
        print(window_line(verdict, analysis.reference))
    print(f"drift: {analysis.severity}: {analysis.summary} -> {settings.out / 'report.html'}")


def write(analysis: Analysis, settings: WindowSettings) -> None:
    """Write report.html and report.json into the output folder."""
    sizes, curves = power_curves(analysis.reference)
    content = analysis.as_dict() | {"power": {"sizes": sizes, "noticed_by_loss": curves}}
    write_text(settings.out / "report.html", page(analysis, sizes, curves))
    write_json(settings.out / "report.json", content)


def page(analysis: Analysis, sizes: Sequence[int], curves: Mapping[str, Sequence[float]]) -> str:
    """Render the page as HTML."""
    signals = "".join(f"<figure>{signal_plot(signal, analysis)}</figure>" for signal in analysis.verdicts[-1].tested)
    sections = (
        section("Accuracy", Html(performance_plot(analysis)), ABOUT_ESTIMATES),
        section("Windows", _windows_table(analysis)),
        section("Signals in the latest window", _signals_table(analysis)),
        section("Signals over time", Html(f'<div class="plots">{signals}</div>'), ABOUT_COLOURS),
        section("Sensitivity", Html(power_plot(sizes, curves)), ABOUT_SENSITIVITY),
    )
    headline = HEADLINES[analysis.severity]
    return pages.page(
        f"Commentwise: {headline}",
        headline,
        analysis.summary,
        sections,
        about="Commentwise in production",
        tone=analysis.severity,
        footer=f"Bundle {analysis.reference.bundle_id[:12]}, compared with {len(analysis.reference.rows):,} comments that it "
        "was not trained on. Repeated comments count once. p-values are adjusted for the number of signals (Holm) and "
        f"significant up to {ALPHA:g}.",
    )


def _windows_table(analysis: Analysis) -> Html:
    rows = []
    for verdict, estimate, (score, comments) in zip(
        analysis.verdicts, analysis.estimates, analysis.realised, strict=True
    ):
        titles = [signal.title for signal in verdict.tested if signal.name in verdict.drifted]
        rows.append(
            (
                span(verdict.rows.time[0], verdict.rows.time[-1]),
                len(verdict.rows),
                marked(verdict.severity, verdict.severity),
                estimate["accuracy"],
                estimate["macro_f1"],
                f"{score} on {comments}" if score else "–",
                ", ".join(title[0].lower() + title[1:] for title in titles) or "–",
            )
        )
    heads = (
        "window (UTC)",
        "comments",
        "verdict",
        "est. accuracy",
        "est. macro-F1",
        "accuracy by feedback",
        "signals that drifted",
    )
    return table(heads, reversed(rows), numbers={1, 3, 4, 5})


def _signals_table(analysis: Analysis) -> Html:
    last, rows = analysis.verdicts[-1], []
    for signal in sorted(last.tested, key=lambda signal: last.adjusted[signal.name]):
        outcome, adjusted = last.outcomes[signal.name], last.adjusted[signal.name]
        rows.append(
            (
                coloured(signal.title, last.severity) if signal.name in last.drifted else signal.title,
                signal.describe(last.rows, analysis.reference, outcome),
                f"{outcome.statistic:.3f}",
                "< 0.01" if adjusted < 0.01 else f"{adjusted:.2f}",
            )
        )
    return table(("signal", "latest window", "statistic", "adjusted p-value"), rows, numbers={2, 3})


if __name__ == "__main__":
    run_command(main)

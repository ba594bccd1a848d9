"""The drift report: one self-contained HTML page, and the same figures as JSON.

commentwise drift             # prints a line per window; writes artifacts/monitoring/report.html and report.json
commentwise drift --record    # also logs a run to MLflow, tied to the model's version
"""

import html
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydantic import Field

from commentwise.errors import run_command
from commentwise.fileio import write_json, write_text
from commentwise.monitoring.project import MonitoredProject
from commentwise.monitoring.report.plots import performance_plot, power_plot, signal_plot
from commentwise.monitoring.settings import WindowSettings, read
from commentwise.monitoring.signals.analysis import Analysis, analyse, power_curves
from commentwise.monitoring.signals.drift import ALPHA, FALSE_ALARM_RATE
from commentwise.monitoring.signals.summary import span, window_line

HEADLINES = {
    "none": "As expected",
    "warn": "The comments may have changed",
    "alert": "The comments have changed",
}


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
    now = datetime.now(UTC)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Commentwise: {HEADLINES[analysis.severity]}</title><style>{STYLE}</style></head><body>
<header class="{analysis.severity}"><p>Commentwise in production, {now:%d %B %Y %H:%M} UTC</p>
<h1>{HEADLINES[analysis.severity]}</h1><p class="summary">{html.escape(analysis.summary)}</p></header>
<section><h2>Accuracy</h2>{performance_plot(analysis)}
<p>Estimated from the probabilities, recalibrated for each window. The estimate accounts for a different mix of comments; it
cannot detect that the same comments have come to mean something else. Only feedback shows that.</p></section>
<section><h2>Windows</h2>{_windows_table(analysis)}</section>
<section><h2>Signals in the latest window</h2>{_signals_table(analysis)}</section>
<section><h2>Signals over time</h2><div class="plots">{signals}</div>
<p>Grey band: 95% of the windows that resemble the reference lie within it. Orange: a significant difference in that window.
Red: in the window before it as well.</p></section>
<section><h2>Sensitivity</h2>{power_plot(sizes, curves)}
<p>The share of single windows that raise a warning when the comments become more uncertain and accuracy falls by the given
amount, without the signals that need texts; with them, more windows do. The false-alarm rate is at most {FALSE_ALARM_RATE:.0%} of
the windows that resemble the reference.</p></section>
<footer>Bundle {analysis.reference.bundle_id[:12]}, compared with {len(analysis.reference.rows):,} comments that it was not trained on.
Repeated comments count once. p-values are adjusted for the number of signals (Holm) and significant up to {ALPHA:g}.</footer>
</body></html>
"""


def _windows_table(analysis: Analysis) -> str:
    rows = []
    for verdict, estimate, (score, comments) in zip(
        analysis.verdicts, analysis.estimates, analysis.realised, strict=True
    ):
        feedback = f"{score} on {comments}" if score else "–"
        titles = [signal.title for signal in verdict.tested if signal.name in verdict.drifted]
        drifted = ", ".join(title[0].lower() + title[1:] for title in titles) or "–"
        rows.append(
            f'<tr><td>{span(verdict.rows.time[0], verdict.rows.time[-1])}</td><td class="n">{len(verdict.rows)}</td>'
            f'<td><b class="{verdict.severity}">{verdict.severity}</b></td><td class="n">{estimate["accuracy"]}</td>'
            f'<td class="n">{estimate["macro_f1"]}</td><td class="n">{feedback}</td><td>{html.escape(drifted)}</td></tr>'
        )
    heads = "".join(
        f"<th>{name}</th>"
        for name in (
            "window (UTC)",
            "comments",
            "verdict",
            "est. accuracy",
            "est. macro-F1",
            "accuracy by feedback",
            "signals that drifted",
        )
    )
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(reversed(rows))}</tbody></table></div>'


def _signals_table(analysis: Analysis) -> str:
    last, rows = analysis.verdicts[-1], []
    for signal in sorted(last.tested, key=lambda signal: last.adjusted[signal.name]):
        outcome, adjusted = last.outcomes[signal.name], last.adjusted[signal.name]
        mark = f' class="{last.severity}"' if signal.name in last.drifted else ""
        sentence = signal.describe(last.rows, analysis.reference, outcome)
        rows.append(
            f"<tr><td{mark}>{html.escape(signal.title)}</td><td>{html.escape(sentence)}</td>"
            f'<td class="n">{outcome.statistic:.3f}</td><td class="n">{_p_value(adjusted)}</td></tr>'
        )
    heads = "".join(f"<th>{name}</th>" for name in ("signal", "latest window", "statistic", "adjusted p-value"))
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _p_value(value: float) -> str:
    return "&lt; 0.01" if value < 0.01 else f"{value:.2f}"


STYLE = """
:root{color-scheme:light dark;--text:#0f172a;--quiet:#475569;--line:#e2e8f0;--page:#fff;--none:#2563eb;--warn:#b45309;--alert:#b91c1c}
@media(prefers-color-scheme:dark){
:root{--text:#e2e8f0;--quiet:#94a3b8;--line:#334155;--page:#0f172a;--none:#60a5fa;--warn:#fbbf24;--alert:#f87171}
svg{filter:invert(1) hue-rotate(180deg)}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--page);max-width:64rem;margin:0 auto;padding:1.5rem}
header{border-left:6px solid var(--none);padding:.2rem 0 .2rem 1.2rem;margin-bottom:2rem}
header.warn{border-color:var(--warn)}header.alert{border-color:var(--alert)}
header p{margin:.2rem 0;color:var(--quiet)}header .summary{font-size:1.1rem;color:var(--text)}h1{margin:0;font-size:1.8rem}
h2{font-size:1.15rem;margin:2rem 0 .6rem}section>p{color:var(--quiet);font-size:.9rem;max-width:48rem}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;min-width:40rem;font-size:.86rem}
th{text-align:left;color:var(--quiet);font-weight:600}
td,th{padding:.3rem .7rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,td:first-child{white-space:nowrap;font-variant-numeric:tabular-nums}
b.none{color:var(--none)}.warn:not(header){color:var(--warn)}.alert:not(header){color:var(--alert)}
svg{max-width:100%;height:auto}.plots{display:flex;flex-wrap:wrap;gap:.4rem 1rem}figure{margin:0;max-width:100%}
footer{margin-top:2.5rem;color:var(--quiet);font-size:.82rem;border-top:1px solid var(--line);padding-top:.8rem}
"""


if __name__ == "__main__":
    run_command(main)

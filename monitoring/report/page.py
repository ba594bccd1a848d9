"""One page on what happened in production, without anything it would have to load.

python -m commentwise.monitoring.report.page             # artifacts/monitoring/report.html and report.json
python -m commentwise.monitoring.report.page --record    # and a run in MLflow, tied to the model's version
"""

import html
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydantic import Field

from commentwise.errors import run_command
from commentwise.fileio import write_json, write_text
from commentwise.monitoring.report.plots import performance_plot, power_plot, signal_plot
from commentwise.monitoring.settings import WindowSettings, read
from commentwise.monitoring.signals.analysis import Analysis, analyse, power_curves
from commentwise.monitoring.signals.drift import LEVEL, STATED
from commentwise.monitoring.signals.summary import TITLES, describe_signal, span

HEADLINES = {
    "none": "As expected",
    "warn": "Something may have changed",
    "alert": "The comments have changed",
}


class ReportCommand(WindowSettings):
    """Write the report."""

    record: bool = Field(default=False, description="write the findings to MLflow too")


def main() -> None:
    """Write the report and print its summary."""
    settings = read(ReportCommand, "report")
    analysis = analyse(settings)
    write(analysis, settings)
    if settings.record:
        from commentwise.monitoring.report.record import record

        record(analysis, settings.out)
    print(f"report: {analysis.severity}: {analysis.summary} -> {settings.out / 'report.html'}")


def write(analysis: Analysis, settings: WindowSettings) -> None:
    """Write report.html and report.json into the output folder."""
    sizes, curves = power_curves(analysis.reference)
    content = analysis.as_dict() | {"power": {"sizes": sizes, "noticed_by_loss": curves}}
    write_text(settings.out / "report.html", page(analysis, sizes, curves))
    write_json(settings.out / "report.json", content)


def page(analysis: Analysis, sizes: Sequence[int], curves: Mapping[str, Sequence[float]]) -> str:
    """The page's HTML."""
    last = analysis.verdicts[-1]
    signals = "".join(f"<figure>{signal_plot(name, analysis)}</figure>" for name in last.outcomes)
    made = datetime.now(UTC)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Commentwise: {HEADLINES[analysis.severity]}</title><style>{STYLE}</style></head><body>
<header class="{analysis.severity}"><p>Commentwise in production, {made:%d %B %Y %H:%M} UTC</p>
<h1>{HEADLINES[analysis.severity]}</h1><p class="summary">{html.escape(analysis.summary)}</p></header>
<section><h2>Accuracy</h2>{performance_plot(analysis)}
<p>Estimated from the probabilities, calibrated anew for each window's kind of comments. It sees that other comments come; it
cannot see that the same comments mean something else: only feedback shows that.</p></section>
<section><h2>Windows</h2>{_windows_table(analysis)}</section>
<section><h2>Signals in the latest window</h2>{_signals_table(analysis)}</section>
<section><h2>Signals over time</h2><div class="plots">{signals}</div>
<p>Grey: where windows like the reference lie 95% of the time. Orange: beyond chance in that window. Red: in the window
before, too.</p></section>
<section><h2>What would be noticed</h2>{power_plot(sizes, curves)}
<p>How often a single window raises a warning when the comments have become so uncertain that accuracy falls by so much,
by the figures alone; texts, where they are logged, notice more. Of windows like the reference at most {STATED:.0%} are
taken for drifted.</p></section>
<footer>Bundle {analysis.reference.bundle_id[:12]}, held against {len(analysis.reference.rows):,} comments it was not trained on;
each comment counts once. p-values are corrected for the number of signals (Holm); beyond chance means at most {LEVEL:g}.</footer>
</body></html>
"""


def _windows_table(analysis: Analysis) -> str:
    rows = []
    for verdict, estimate, (score, comments) in zip(
        analysis.verdicts, analysis.estimates, analysis.counted, strict=True
    ):
        feedback = f"{score} of {comments}" if score else "–"
        titles = [TITLES[name] for name in verdict.drifted]
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
            "beyond chance",
        )
    )
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(reversed(rows))}</tbody></table></div>'


def _signals_table(analysis: Analysis) -> str:
    last, rows = analysis.verdicts[-1], []
    for name in sorted(last.adjusted, key=lambda name: last.adjusted[name]):
        mark = f' class="{last.severity}"' if name in last.drifted else ""
        said = describe_signal(name, last, analysis.reference)
        rows.append(
            f"<tr><td{mark}>{TITLES[name]}</td><td>{html.escape(said)}</td>"
            f'<td class="n">{last.outcomes[name].statistic:.3f}</td><td class="n">{_p_value(last.adjusted[name])}</td></tr>'
        )
    heads = "".join(f"<th>{name}</th>" for name in ("signal", "now", "statistic", "p, corrected"))
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

"""The findings in words."""

from collections.abc import Sequence
from datetime import UTC, datetime

from commentwise.monitoring.signals.drift import Verdict
from commentwise.monitoring.signals.performance import Score
from commentwise.monitoring.signals.reference import Reference
from commentwise.monitoring.signals.signal import SIGNALS

MAX_CAUSES = 4


def summary(
    run: Sequence[Verdict],
    reference: Reference,
    baseline: Score,
    estimate: Score,
    realised: tuple[Score | None, int],
) -> str:
    """Describe the latest run of windows in one or two sentences: what changed, since when, and the accuracy.

    `realised` is the accuracy according to feedback, and the number of comments it comes from.
    """
    comments = sum(len(verdict.rows) for verdict in run)
    accuracy = f"estimated accuracy is {estimate}, {baseline.value:.2f} on the reference"
    if run[-1].severity == "none":
        return f"The latest {comments:,} comments resemble the reference; {accuracy}.{_feedback(realised)}"
    causes = []
    for signal in SIGNALS:
        drifted = [verdict for verdict in run if signal.name in verdict.drifted]
        if drifted:
            latest = drifted[-1]
            causes.append(signal.describe(latest.rows, reference, latest.outcomes[signal.name]))
    since = day(run[0].rows.time[0])
    return f"Since {since}: {'; '.join(causes[:MAX_CAUSES])}; {accuracy}.{_feedback(realised)}"


def window_line(verdict: Verdict, reference: Reference) -> str:
    """Describe one window in a line: its period, its severity, and the most significant changes."""
    drifted = [signal for signal in SIGNALS if signal.name in verdict.drifted[:3]]
    causes = [signal.describe(verdict.rows, reference, verdict.outcomes[signal.name]) for signal in drifted]
    period = span(verdict.rows.time[0], verdict.rows.time[-1])
    return f"{period}  {verdict.severity:<6} {'; '.join(causes) or 'resembles the reference'}"


def _feedback(realised: tuple[Score | None, int]) -> str:
    score, comments = realised
    return f" Accuracy according to feedback is {score}, on {comments:,} of them." if score else ""


def day(seconds: float) -> str:
    """A time of the day in UTC, such as "3 May 14:05"."""
    when = datetime.fromtimestamp(seconds, UTC)
    return f"{when.day} {when:%B %H:%M}"


def span(first: float, last: float) -> str:
    """A period, with the second day only where it differs from the first."""
    same = datetime.fromtimestamp(first, UTC).date() == datetime.fromtimestamp(last, UTC).date()
    return f"{day(first)} – {day(last).rpartition(' ')[2] if same else day(last)}"

"""Findings in plain words."""

from collections.abc import Sequence
from datetime import UTC, datetime

from commentwise.monitoring.signals.drift import Verdict
from commentwise.monitoring.signals.performance import Score
from commentwise.monitoring.signals.reference import Reference

TITLES = {
    "label": "Labels (PSI)",
    "tokens": "Length in tokens",
    "unknown_share": "Unknown tokens",
    "split_share": "Words read in pieces",
    "latin_share": "Latin letters",
    "emoji_share": "Emoji",
    "confidence": "Confidence",
    "entropy": "Entropy of the answer",
    "new_words": "Words never seen in training",
    "domain": "Told apart by their words (AUC)",
    "embedding": "Distance of embeddings (MMD²)",
}
CAUSES = (
    "new_words",
    "domain",
    "tokens",
    "latin_share",
    "unknown_share",
    "split_share",
    "emoji_share",
    "label",
    "embedding",
    "confidence",
    "entropy",
)
"""The signals that tell people most come first."""
_SHARES = {
    "unknown_share": "of the tokens are unknown to the tokenizer",
    "split_share": "of the words are read in pieces",
    "latin_share": "of the letters are Latin",
    "emoji_share": "of the characters are emoji",
    "new_words": "of the words never stood in the training comments",
}


def describe_signal(name: str, verdict: Verdict, reference: Reference) -> str:
    """One signal's change, in words."""
    window = verdict.rows
    if name == "label":
        names = reference.labels
        now, then = (
            [int((rows.predicted == number).sum()) / len(rows) for number in range(len(names))]
            for rows in (window, reference.rows)
        )
        most = max(range(len(names)), key=lambda number: abs(now[number] - then[number]))
        return f"{now[most]:.0%} are answered {names[most]} (was {then[most]:.0%})"
    if name == "domain":
        words = f", by words such as {', '.join(repr(word) for word in verdict.words[:5])}" if verdict.words else ""
        return f"they can be told from the reference (AUC {verdict.outcomes[name].statistic:.2f}, 0.5 is chance){words}"
    if name == "embedding":
        return f"the model places them elsewhere (squared MMD {verdict.outcomes[name].statistic:.3f})"
    now_mean, then_mean = float(window.signals[name].mean()), float(reference.rows.signals[name].mean())
    if name in _SHARES:
        return f"{now_mean:.0%} {_SHARES[name]} (was {then_mean:.0%})"
    if name == "tokens":
        return f"comments are {'longer' if now_mean > then_mean else 'shorter'} ({now_mean:.0f} tokens, was {then_mean:.0f})"
    word = {"confidence": "the mean confidence", "entropy": "the mean entropy"}[name]
    verb = "rose" if now_mean > then_mean else "fell"
    return f"{word} {verb} from {then_mean:.2f} to {now_mean:.2f}"


def summary(
    run: Sequence[Verdict],
    reference: Reference,
    before: Score,
    estimate: Score,
    counted: tuple[Score | None, int],
) -> str:
    """What happened, since when, and what it costs: one or two sentences on the latest run of windows."""
    comments = sum(len(verdict.rows) for verdict in run)
    accuracy = f"estimated accuracy is {estimate}, {before.value:.2f} on the reference"
    if run[-1].severity == "none":
        return f"The latest {comments:,} comments are like the reference; {accuracy}.{_counted(counted)}"
    causes = []
    for name in CAUSES:
        found = [verdict for verdict in run if name in verdict.drifted]
        if found:
            causes.append(describe_signal(name, found[-1], reference))
    return f"Since {day(run[0].rows.time[0])}: {'; '.join(causes[:4])}; {accuracy}.{_counted(counted)}"


def _counted(counted: tuple[Score | None, int]) -> str:
    score, comments = counted
    return f" Feedback on {comments} of them counts {score}." if score else ""


def day(seconds: float) -> str:
    """A time as people read it, UTC."""
    when = datetime.fromtimestamp(seconds, UTC)
    return f"{when.day} {when:%B %H:%M}"


def span(first: float, last: float) -> str:
    """From when to when; the second day only where it is another."""
    same = datetime.fromtimestamp(first, UTC).date() == datetime.fromtimestamp(last, UTC).date()
    return f"{day(first)} – {day(last).rpartition(' ')[2] if same else day(last)}"

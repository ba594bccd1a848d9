"""Why accuracy changed: what moved, data, parameters, code or production, each with its figure, ordered by evidence."""

from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from commentwise.monitoring.signals.analysis import Analysis
from commentwise.training.compare.difference import (
    Comparison,
    code_sentence,
    data_sentence,
    difference_text,
    params_sentence,
)
from commentwise.training.scores import SCORES

UNKNOWN, SAME, MOVED, SHOWN = "not known", "did not move", "moved", "moved, with effect"
EVIDENCE = (SHOWN, MOVED, UNKNOWN, SAME)
"""The strongest first. With effect: a figure shows that answers became better or worse by it."""
ACCURACY = SCORES[0]


@dataclass(frozen=True)
class Cause:
    """One thing that may have changed the accuracy."""

    name: str
    verdict: str
    """One of `EVIDENCE`."""
    facts: list[str] = field(default_factory=list)
    """The changes with their figures, a sentence each."""

    @property
    def title(self) -> str:
        """The name and the verdict."""
        return f"{self.name} {'is ' if self.verdict == UNKNOWN else ''}{self.verdict}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def causes(comparison: Comparison, analysis: Analysis | None, not_looked: str) -> list[Cause]:
    """The four causes, that with the strongest evidence first.

    `not_looked` says why production was not looked at, where `analysis` is None.
    """
    moved = [name for name, found in _moved(comparison).items() if found]
    effect = _effect(comparison)
    found = [
        _data(comparison, _share_of_effect("data", moved, effect), effect),
        _params(comparison, _share_of_effect("parameters", moved, effect), effect),
        _code(comparison, _share_of_effect("code", moved, effect), effect),
        _production(analysis) if analysis else Cause("production", UNKNOWN, [f"Not looked at: {not_looked}."]),
    ]
    return sorted(found, key=lambda cause: EVIDENCE.index(cause.verdict))


def reported(comparison: Comparison) -> str:
    """The accuracy of both sides as they were published, each on its own test part, and on the same comments."""
    scores = [side.manifest["metrics"].get("test", {}).get("scores") for side in (comparison.before, comparison.after)]
    if not all(scores):
        return "The scores that were published are not recorded."
    before, after = (score[ACCURACY]["value"] for score in scores)
    text = f"Accuracy as published {before:.3f} -> {after:.3f}, each on its own test part"
    judged = comparison.judged
    if judged is None:
        return f"{text}; on the same comments: not known."
    score = judged.scores[ACCURACY]
    return f"{text}; on the same {score.comments:,} unseen comments {score.before:.3f} -> {score.after:.3f}, {difference_text(score)}."


def _moved(comparison: Comparison) -> dict[str, bool]:
    return {
        "data": any(change.name == "raw_md5" for change in comparison.source),
        "parameters": bool(comparison.params),
        "code": bool(comparison.code.files or comparison.environment or comparison.code.doubt),
    }


def _effect(comparison: Comparison) -> bool:
    """True if the answers on the same comments became significantly better or worse."""
    return bool(comparison.judged and any(score.significant for score in comparison.judged.scores.values()))


def _share_of_effect(name: str, moved: list[str], effect: bool) -> str:
    """The part of one cause in the difference of the scores, as far as it is known."""
    if name not in moved:
        return ""
    others = [other for other in moved if other != name]
    if not others:
        return f"Nothing else moved between the two, so the whole difference on the same comments{'' if effect else ', if any,'} comes from it."
    return f"Its part of the difference is not known, because {' and '.join(others)} moved at the same time: change one at a time to know it."


def _verdict(part: str, effect: bool) -> str:
    if not part:
        return SAME
    return SHOWN if effect and part.startswith("Nothing else") else MOVED


def _data(comparison: Comparison, part: str, effect: bool) -> Cause:
    rows, facts = comparison.raw, [_upper(data_sentence(comparison).removeprefix("Data: "))]
    if not part:
        return Cause("data", SAME, facts)
    verdict = _verdict(part, effect)
    if rows is not None:
        kept = len(rows.same)
        if len(rows.relabelled):
            facts.append(f"Relabelled: {len(rows.relabelled) / kept:.1%} of the {kept:,} comments that are in both.")
        if shares := _label_shares(comparison):
            facts.append(shares)
    relabelling = comparison.judged.relabelling if comparison.judged else None
    if relabelling:
        points = 100 * (relabelling.new_labels - relabelling.old_labels)
        facts.append(
            f"The new labels alone: the same bundle of {comparison.before.title} scores {points:+.1f} points of macro-F1 with "
            f"them, on {relabelling.comments:,} unseen comments, {relabelling.relabelled:,} of which were relabelled."
        )
    facts.append("The test parts hold other comments, so the scores as published also differ for that reason.")
    return Cause("data", verdict, [*facts, part])


def _params(comparison: Comparison, part: str, effect: bool) -> Cause:
    facts = [params_sentence(comparison).removeprefix("Parameters: ")]
    return Cause("parameters", _verdict(part, effect), [*facts, part] if part else ["All are the same."])


def _code(comparison: Comparison, part: str, effect: bool) -> Cause:
    facts = [_upper(code_sentence(comparison).removeprefix("Code: "))]
    if comparison.preprocessed:
        facts.append(f"Preprocessing changed the text of {comparison.preprocessed:,} comments.")
    if not part:
        return Cause("code", SAME, ["All that a result depends on is the same, and so are the packages."])
    certain = comparison.code.files or comparison.environment
    verdict = _verdict(part, effect) if certain else UNKNOWN
    return Cause("code", verdict, [*facts, part])


def _label_shares(comparison: Comparison) -> str:
    """The shares of the labels before and after, of those that have one."""
    assert comparison.before.raw is not None
    assert comparison.after.raw is not None
    before, after = (
        side.raw["label"].value_counts(normalize=True)
        for side in (comparison.before, comparison.after)
        if side.raw is not None
    )
    labels = pd.DataFrame({"before": before, "after": after}).fillna(0.0)
    texts = [f"{row.Index} {row.before:.0%} -> {row.after:.0%}" for row in labels.itertuples()]
    return f"Shares of the labels: {', '.join(texts)}." if texts else ""


def _upper(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def _production(analysis: Analysis) -> Cause:
    """What the prediction log and the feedback show, compared with the comments on which the bundle was measured."""
    base = analysis.baseline
    facts = [analysis.summary, f"Estimated accuracy {analysis.estimate}, on the reference {base}."]
    counted = [(score, comments) for score, comments in analysis.realised if score]
    fell = False
    if counted:
        score, comments = counted[-1]
        fell = score.high < base.low
        facts.append(
            f"Accuracy by feedback {score} on {comments:,} comments of the latest window that has any; people correct more than "
            "they confirm, so it tends to be too low."
        )
    else:
        facts.append("No feedback on these comments: whether they came to mean something else is not known.")
    if analysis.severity == "none" and not fell:
        return Cause("production", SAME, facts)
    shown = fell or analysis.estimate.high < base.low
    return Cause("production", SHOWN if shown else MOVED, facts)

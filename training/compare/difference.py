"""The whole comparison of two sides, and its result in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from commentwise.errors import CommentwiseError
from commentwise.training.compare.facts import (
    Change,
    CodeChanges,
    as_dicts,
    code_changes,
    differing,
    model_facts,
)
from commentwise.training.compare.judged import Judged, Score, judge, words
from commentwise.training.compare.rows import RowChanges, changes
from commentwise.training.compare.sides import UNLABELLED, Side
from commentwise.training.project import PARTS, Project

NAMES = {"macro_f1": "macro-F1", "accuracy": "accuracy"}
MAX_FLIPS = 100
"""Of each kind in the JSON."""
MAX_NAMED = 3
"""Changes that a sentence names."""


@dataclass(frozen=True)
class Comparison:
    """The changes from one side to the other. None: the data for it are not kept; `notes` says which."""

    before: Side
    after: Side
    model: list[Change]
    params: list[Change]
    environment: list[Change]
    code: CodeChanges
    source: list[Change]
    """Facts about the data: the name of the source and the hashes."""
    raw: RowChanges | None
    """Of the comments as ingested."""
    prepared: RowChanges | None
    """Of the comments as prepared."""
    parts: dict[str, dict[str, int]]
    """By part of the split: rows before and after, added, removed, moved in (from another part), relabelled, reworded."""
    preprocessed: int | None
    """Comments whose text as ingested is the same and as prepared is not."""
    judged: Judged | None
    notes: list[str]

    @property
    def same_bundle(self) -> bool:
        """True if both sides are the same bundle."""
        return self.before.bundle_id == self.after.bundle_id

    @property
    def data_moved(self) -> RowChanges | None:
        """The changes of the comments as ingested, or else as prepared."""
        return self.raw if self.raw is not None else self.prepared

    def as_dict(self) -> dict[str, Any]:
        """The comparison as JSON."""
        return {
            "before": _side_dict(self.before),
            "after": _side_dict(self.after),
            "summary": sentences(self),
            "model": as_dicts(self.model),
            "data": {
                "source": as_dicts(self.source),
                "ingested": self.raw.as_dict() if self.raw else None,
                "prepared": self.prepared.as_dict() if self.prepared else None,
                "parts": self.parts,
                "preprocessed_differently": self.preprocessed,
            },
            "params": as_dicts(self.params),
            "code": vars(self.code),
            "environment": as_dicts(self.environment),
            "scores": _judged_dict(self.judged) if self.judged else None,
            "notes": self.notes,
        }


def compare(project: Project, before: Side, after: Side) -> Comparison:
    """Compare two sides. What cannot be compared is named in `notes`."""
    notes = [*before.notes, *after.notes]
    same_data = before.data["prepared_md5"] == after.data["prepared_md5"]
    raw = None if before.raw is None or after.raw is None else changes(before.raw, after.raw)
    prepared = None if before.split is None or after.split is None else changes(before.split, after.split)
    judged = None
    try:
        judged = judge(before, after)
    except CommentwiseError as error:
        notes.append(f"scores: {error}")
    return Comparison(
        before,
        after,
        differing(model_facts(before), model_facts(after)),
        differing(before.manifest["params"], after.manifest["params"]),
        differing(before.manifest["environment"], after.manifest["environment"]),
        code_changes(project, before, after),
        differing(*({name: value for name, value in side.data.items() if name != "rows"} for side in (before, after))),
        raw,
        prepared,
        _parts(before, after, prepared),
        0 if same_data else _preprocessed(prepared, raw),
        judged,
        notes,
    )


def sentences(comparison: Comparison) -> list[str]:
    """The result in a few sentences: score, data, parameters, code."""
    if comparison.same_bundle:
        return [f"{comparison.before.title} and {comparison.after.title} are the same bundle."]
    return [
        score_sentence(comparison),
        data_sentence(comparison),
        params_sentence(comparison),
        code_sentence(comparison),
    ]


def score_sentence(comparison: Comparison) -> str:
    """The difference of the scores, where it can be measured."""
    judged = comparison.judged
    if judged is None:
        return "Scores: not comparable, see the notes."
    score = judged.scores["macro_f1"]
    verdict = verdict_of(score, comparison.after.title, comparison.before.title)
    left_out = f"; left out: {words(judged.left_out)}" if judged.left_out else ""
    return (
        f"Scores: {verdict}: macro-F1 {score.before:.3f} -> {score.after:.3f}, {difference_text(score)}, on "
        f"{score.comments:,} test comments that neither has seen{left_out}."
    )


def verdict_of(score: Score, after: str, before: str) -> str:
    """The better side, as far as the interval shows it."""
    if not score.significant:
        return f"no significant difference between {before} and {after}"
    return f"{after} is {'better' if score.difference > 0 else 'worse'} than {before}"


def difference_text(score: Score) -> str:
    """A difference in points with its interval.

    >>> difference_text(Score(0.7, 0.75, 0.05, 0.01, 0.09, 100))
    '+5.0 points (95% interval +1.0 to +9.0)'
    """
    return f"{100 * score.difference:+.1f} points (95% interval {100 * score.low:+.1f} to {100 * score.high:+.1f})"


def data_sentence(comparison: Comparison) -> str:
    """Which rows came, went and changed."""
    rows = comparison.data_moved
    if not any(change.name.endswith("_md5") for change in comparison.source):
        return "Data: the same."
    if rows is None:
        return "Data: not the same; the rows are no longer kept, see the notes."
    counts = {
        "added": len(rows.added),
        "removed": len(rows.removed),
        "relabelled": len(rows.relabelled),
        "reworded": len(rows.reworded),
    }
    found = [f"{count:,} {name}" for name, count in counts.items() if count]
    same_rows = (
        f"{rows.before:,} -> {rows.after:,} rows: {', '.join(found)}"
        if found
        else "the same rows, prepared in another way"
    )
    prepared = comparison.preprocessed
    more = f"; preprocessing changed the text of {prepared:,}" if prepared else ""
    return f"Data: {same_rows}{more}{_source_text(comparison)}."


def params_sentence(comparison: Comparison) -> str:
    """Which parameters changed."""
    return f"Parameters: {_named([str(change) for change in comparison.params]) or 'the same'}."


def code_sentence(comparison: Comparison) -> str:
    """Which code changed."""
    code, packages = comparison.code, comparison.environment
    by_subject = [f"{subject} ({_named(files)})" for subject, files in code.by_subject().items()]
    text = f"changed in {', '.join(by_subject)}" if by_subject else "" if code.doubt else "the same"
    if code.doubt:
        text = f"{text}{'; ' if text else ''}not known for certain: {code.doubt}"
    more = (
        f"; environment: {_named([str(change).removeprefix('packages.') for change in packages])}" if packages else ""
    )
    return f"Code: {text}{more}."


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"{', '.join(names[:MAX_NAMED])}{more}"


def _source_text(comparison: Comparison) -> str:
    source = next((change for change in comparison.source if change.name == "source"), None)
    return f"; source {source.before} -> {source.after}" if source else ""


def _parts(before: Side, after: Side, prepared: RowChanges | None) -> dict[str, dict[str, int]]:
    if prepared is None or before.split is None or after.split is None:
        return {}
    same = prepared.same
    stays = same["part_before"] == same["part_after"]
    relabelled, reworded = (same.index.isin(rows.index) for rows in (prepared.relabelled, prepared.reworded))
    return {
        part: {
            "before": int((before.split["part"] == part).sum()),
            "after": int((after.split["part"] == part).sum()),
            "added": int((prepared.added["part"] == part).sum()),
            "removed": int((prepared.removed["part"] == part).sum()),
            "moved in": int((~stays & (same["part_after"] == part)).sum()),
            "relabelled": int((relabelled & (same["part_after"] == part)).sum()),
            "reworded": int((reworded & (same["part_after"] == part)).sum()),
        }
        for part in (*PARTS, UNLABELLED)
        if part != UNLABELLED or (before.split["part"] == part).any() or (after.split["part"] == part).any()
    }


def _preprocessed(prepared: RowChanges | None, raw: RowChanges | None) -> int | None:
    """Comments that differ after preprocessing and not before."""
    if prepared is None or raw is None:
        return None
    reworded = set(raw.reworded["comment_id_after"])
    return int((~prepared.reworded["comment_id_after"].isin(reworded)).sum())


def _side_dict(side: Side) -> dict[str, Any]:
    test = side.manifest["metrics"].get("test", {})
    return {
        "title": side.title,
        "bundle": side.bundle_id,
        "commit": side.commit,
        "uncommitted": side.dirty,
        "data": side.data,
        "model": model_facts(side),
        "own_test": test.get("scores"),
        "own_test_comments": test.get("comments"),
    }


def _judged_dict(judged: Judged) -> dict[str, Any]:
    return {
        "comments": len(judged.rows),
        "left_out": judged.left_out,
        **{name: vars(score) for name, score in judged.scores.items()},
        "intervals": judged.intervals,
        "labels": {label: vars(score) for label, score in judged.labels.items()},
        "slices": {kind: {name: vars(score) for name, score in found.items()} for kind, found in judged.slices.items()},
        "relabelling": vars(judged.relabelling) if judged.relabelling else None,
        "flips": {kind: _flips(judged.flips(kind)) for kind in ("lost", "won", "other")},
    }


def _flips(rows: pd.DataFrame) -> dict[str, Any]:
    columns = ["comment_id", "text", "label", "before", "after", "confidence_before", "confidence_after"]
    return {"comments": len(rows), "examples": rows[columns].head(MAX_FLIPS).to_dict("records")}

"""The sections about the winner's quality on the test part."""

import numpy as np

from commentwise.training.pages import Html, marked, markup, score_text, section, table
from commentwise.training.registry.card import SCORES
from commentwise.training.report.charts import learning_chart, reliability_chart
from commentwise.training.report.results import Confused, Results, errors_by_kind, slices
from commentwise.training.report.sections import narrow
from commentwise.training.scores import label_intervals

KINDS, EXAMPLES = 12, 5
"""Kinds of errors on the page, and comments of each kind."""
MAX_CHARACTERS = 400
"""Of a comment on the page."""
SLICE_SCORES = ("accuracy", "macro_f1")


def scores(results: Results) -> Html:
    """The winner's scores, and those of each label."""
    test, options = results.test, results.settings.evaluate
    overall = [[SCORES[name], score_text(**score)] for name, score in test["scores"].items()]
    intervals = label_intervals(np.array(test["confusion"]), options.resamples, results.settings.seed)
    rows = [
        [
            label,
            f"{facts['comments']:,}",
            *(score_text(facts[name], *intervals[name][number]) for name in ("precision", "recall", "f1")),
        ]
        for number, (label, facts) in enumerate(test["labels"].items())
    ]
    return section(
        f"How good {results.winner} is",
        f"On the {test['comments']:,} comments of the test part, which neither training nor choice has seen. In brackets: 95% intervals, "
        "because other comments would give other figures.",
        narrow(table(["all labels", "score"], overall, numbers={1})),
        table(["label", "comments", "precision", "recall", "F1"], rows, numbers={1, 2, 3, 4}),
    )


def matrix(results: Results) -> Html:
    """The confusion matrix: a row per label, shaded by share of the row."""
    labels, counts = results.settings.labels, results.test["confusion"]
    rows = [
        [label, *(_cell(count, sum(row), actual == predicted) for predicted, count in enumerate(row)), f"{sum(row):,}"]
        for actual, (label, row) in enumerate(zip(labels, counts, strict=True))
    ]
    return section(
        "What is taken for what",
        "Test comments by actual label (row) and predicted label (column). Blue: right. Orange: wrong.",
        table(["actual \\ predicted", *labels, "comments"], rows, numbers=range(1, len(labels) + 2)),
    )


def _cell(count: int, total: int, right: bool) -> Html:
    share = count / max(1, total)
    colour = "37,99,235" if right else "217,119,6"
    text = f"{count:,} ({share:.0%})" if count else "0"
    return Html(
        f'<span style="display:block;padding:0 .4rem;background:rgba({colour},{0.75 * share:.2f})">{text}</span>'
    )


def confidence(results: Results) -> Html:
    """The reliability diagram."""
    test = results.test
    return section(
        "Whether its probabilities can be trusted",
        f"Expected calibration error {test['ece']:.3f} as trained, {test['ece_calibrated']:.3f} as served, with the temperature "
        f"{results.metrics[results.winner]['temperature']:.2f} that was fitted on the validation part.",
        reliability_chart(results.reliability),
    )


def learning(results: Results) -> Html:
    """The learning curves of the families that are trained in steps; empty if there are none."""
    charts = "".join(learning_chart(family, rows) for family, rows in results.curves.items())
    return section("How it was learnt", Html(f'<div class="plots">{charts}</div>')) if charts else Html()


def groups(results: Results) -> Html:
    """Accuracy and macro-F1 of groups of test comments."""
    test = results.test
    overall = test["scores"]["accuracy"]["value"]
    rows: list[list[object]] = [
        ["all comments", "", f"{test['comments']:,}", *(score_text(**test["scores"][name]) for name in SLICE_SCORES)]
    ]
    for each in slices(results):
        accuracy, macro_f1 = (score_text(**each.scores[name]) for name in SLICE_SCORES)
        worse = each.scores["accuracy"]["high"] < overall
        rows.append(
            [
                each.kind,
                each.name,
                f"{each.comments:,}",
                marked(accuracy, "warn") if worse else accuracy,
                macro_f1 if each.complete else "–",
            ]
        )
    return section(
        "Where it is better and worse",
        "Languages with few test comments are left out; macro-F1 is left out where a label does not occur. Orange: the whole interval is "
        "below the accuracy of all comments.",
        table(["by", "group", "comments", "accuracy", "macro-F1"], rows, numbers={2, 3, 4}),
    )


def errors(results: Results) -> Html:
    """Examples of the most frequent kinds of errors, the most confident prediction first."""
    kinds = errors_by_kind(results)
    wrong = sum(len(kind.rows) for kind in kinds)
    if not wrong:
        return section("What it gets wrong", "Nothing in the test part.")
    left_out = f" The {KINDS} most frequent kinds of {len(kinds)} are shown." if len(kinds) > KINDS else ""
    return section(
        "What it gets wrong",
        f"{wrong:,} of {results.test['comments']:,} test comments, by kind, the most confident predictions first: some show a "
        f"wrong label in the data rather than a wrong prediction.{left_out}",
        *(_examples(kind, results) for kind in kinds[:KINDS]),
    )


def _examples(kind: Confused, results: Results) -> Html:
    items = "".join(
        f"<li><b>{results.probabilities[row].max():.2f}</b> <bdi>{markup(_cut(results.texts[row]))}</bdi></li>"
        for row in kind.rows[:EXAMPLES]
    )
    heading = markup(f"{kind.actual} taken for {kind.predicted}: {len(kind.rows):,}")
    return Html(
        f'<details open><summary>{heading}</summary><ul style="overflow-wrap:anywhere;font-size:.9rem">{items}</ul></details>'
    )


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"

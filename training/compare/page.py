"""The comparison as one self-contained HTML page."""

from collections.abc import Iterator, Sequence

from commentwise.training.compare.difference import NAMES, Comparison, sentences, verdict_of
from commentwise.training.compare.facts import Change, shown
from commentwise.training.compare.judged import Judged, Score, words
from commentwise.training.compare.rows import RowChanges
from commentwise.training.compare.tables import FLIPS, cut, score_cells
from commentwise.training.pages import Html, coloured, score_text, section, table
from commentwise.training.pages import page as whole_page

MAX_EXAMPLES = 25
SCORE_HEADS = ("", "before", "after", "points", "95% interval", "comments")
FIGURES = {1, 2, 3, 4, 5}


def page(comparison: Comparison) -> str:
    """Render the page."""
    before, after = comparison.before.title, comparison.after.title
    score = comparison.judged.scores["macro_f1"] if comparison.judged else None
    tone = "alert" if score and score.high < 0 else "none"
    heading = verdict_of(score, after, before) if score else f"{before} and {after}"
    return whole_page(
        f"Commentwise: {before} -> {after}",
        f"{heading[0].upper()}{heading[1:]}",
        " ".join(sentences(comparison)),
        sections(comparison),
        about=f"Commentwise, {before} -> {after}",
        tone=tone,
        footer=f"Bundle {comparison.before.bundle_id[:12]} before, {comparison.after.bundle_id[:12]} after. Points are "
        "hundredths; intervals are 95% intervals by paired bootstrap over the comments.",
    )


def sections(comparison: Comparison) -> Iterator[Html]:
    """The sections of the page; those without a change are left out."""
    if comparison.judged and not comparison.same_bundle:
        yield _scores(comparison, comparison.judged)
        yield _flips(comparison.judged)
    yield _data(comparison)
    for title, changes in (
        ("Parameters", comparison.params),
        ("Model", comparison.model),
        ("Environment", comparison.environment),
    ):
        yield section(title, changes_table(changes) if changes else "The same.")
    yield _code(comparison)
    if comparison.notes:
        yield section("Not known", *comparison.notes)


def changes_table(changes: Sequence[Change]) -> Html:
    """Changed values."""
    return table(
        ("name", "before", "after"), [(change.name, shown(change.before), shown(change.after)) for change in changes]
    )


def score_row(name: str, score: Score) -> tuple[object, ...]:
    """A row under `SCORE_HEADS`; significant differences have a colour."""
    before, after, points, interval, comments = score_cells(score)
    tone = "alert" if score.high < 0 else "none"
    marked = coloured(points, tone) if score.significant else points
    return name, before, after, marked, interval, comments


def _scores(comparison: Comparison, judged: Judged) -> Html:
    rows = [score_row(NAMES[name], score) for name, score in judged.scores.items()]
    rows += [score_row(f"F1 of {label}", score) for label, score in judged.labels.items()]
    rows += [
        score_row(f"{kind}: {name}", score) for kind, found in judged.slices.items() for name, score in found.items()
    ]
    left_out = f" Left out: {words(judged.left_out)}." if judged.left_out else ""
    content: list[object] = [
        f"On {len(judged.rows):,} test comments that neither side was trained or chosen with.{left_out}",
        table(SCORE_HEADS, rows, FIGURES),
    ]
    if moved := judged.relabelling:
        content.append(
            f"Relabelled test comments: {moved.relabelled:,}. On {moved.comments:,} comments, the same bundle of "
            f"{comparison.before.title} has macro-F1 {moved.old_labels:.3f} with the old labels and {moved.new_labels:.3f} with the new."
        )
    content.append(_own_scores(comparison))
    return section("Scores", *content)


def _own_scores(comparison: Comparison) -> Html:
    """Each side on its own test part, as it was measured when it was made."""
    rows = []
    for side in (comparison.before, comparison.after):
        test = side.manifest["metrics"].get("test", {})
        scores = [test["scores"][name] for name in NAMES] if "scores" in test else []
        found = [score_text(score["value"], score["low"], score["high"]) for score in scores] or ["–"] * len(NAMES)
        rows.append((side.title, *found, f"{test.get('comments', 0):,}"))
    return table(("each on its own test part", *NAMES.values(), "comments"), rows, {1, 2, 3})


def _flips(judged: Judged) -> Html:
    content: list[object] = []
    for kind, title in FLIPS.items():
        rows = judged.flips(kind)
        content.append(f"{title[0].upper()}{title[1:]}: {len(rows):,} of {len(judged.rows):,} comments.")
        if len(rows):
            shown_rows = rows.head(MAX_EXAMPLES).itertuples()
            content.append(
                table(
                    ("label", "before", "after", "comment"),
                    [
                        (
                            row.label,
                            f"{row.before} {row.confidence_before:.2f}",
                            f"{row.after} {row.confidence_after:.2f}",
                            cut(str(row.text)),
                        )
                        for row in shown_rows
                    ],
                    {1, 2},
                )
            )
    return section("Answers that changed", *content)


def _data(comparison: Comparison) -> Html:
    if not comparison.source:
        return section("Data", "The same.")
    content: list[object] = [changes_table(comparison.source)]
    if comparison.parts:
        heads = ("", *next(iter(comparison.parts.values())))
        rows = [(part, *(f"{count:,}" for count in counts.values())) for part, counts in comparison.parts.items()]
        content += ["Comments as prepared, by part of the split:", table(heads, rows, range(1, len(heads)))]
    if comparison.preprocessed:
        content.append(
            f"{comparison.preprocessed:,} comments have the same text as ingested and another one after preprocessing."
        )
    if comparison.data_moved is not None:
        content += _rows(comparison.data_moved)
    return section("Data", *content)


def _rows(rows: RowChanges) -> Iterator[object]:
    found = rows.as_dict()
    yield f"{rows.before:,} -> {rows.after:,} comments: {len(rows.added):,} added, {len(rows.removed):,} removed."
    for name in ("added", "removed"):
        if counts := found[f"{name}_labels"]:
            yield f"Labels of those {name}: {', '.join(f'{label} {count:,}' for label, count in counts.items())}."
    if found["relabellings"]:
        yield table(
            ("relabelled from", "to", "comments"),
            [(each["from"], each["to"], f"{each['comments']:,}") for each in found["relabellings"]],
            {1, 2},
        )
        yield table(
            ("from", "to", "comment"),
            [(each["from"], each["to"], cut(each["text"])) for each in found["relabelled_examples"]],
            {1},
        )
    if found["reworded_examples"]:
        yield table(
            ("", "the same comment, as it was", "as it is"),
            [("", cut(each["from"]), cut(each["to"])) for each in found["reworded_examples"]],
        )


def _code(comparison: Comparison) -> Html:
    code = comparison.code
    content: list[object] = []
    if code.doubt:
        content.append(f"Not known for certain: {code.doubt}.")
    if code.files:
        subjects = ((subject, ", ".join(files)) for subject, files in code.by_subject().items())
        content.append(table(("decides", "files that changed"), subjects))
    if code.commits:
        content.append(table(("commit", "subject"), [commit.split(" ", 1) for commit in code.commits]))
    return section("Code", *(content or ["The same."]))

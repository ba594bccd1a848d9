"""A profile of the prepared data: counts, lengths, languages, scripts and copies, as JSON and as Markdown."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from commentwise.comments.copies import copy_key
from commentwise.comments.table import PARTS


def data_report(
    prepared: pd.DataFrame, unlabelled: pd.DataFrame, rejects: pd.DataFrame, labels: Sequence[str]
) -> dict[str, Any]:
    """The data report of the prepared comments (columns text, label, language, group, part). Lengths are in characters."""
    parts = {}
    for part in PARTS:
        rows = prepared[prepared["part"] == part]
        counts = rows["label"].value_counts()
        parts[part] = {"comments": len(rows), "labels": {label: int(counts.get(label, 0)) for label in labels}}
    lengths = prepared["text"].str.len()
    return {
        "comments": len(prepared),
        "unlabelled": len(unlabelled),
        "rejects": {str(reason): int(count) for reason, count in rejects["reason"].value_counts().items()},
        "parts": parts,
        "characters": {
            name: round(float(lengths.quantile(share)), 1)
            for name, share in (("median", 0.5), ("p95", 0.95), ("max", 1.0))
        },
        "languages": _languages(prepared, unlabelled, labels),
        "scripts": dict(Counter(prepared["text"].map(main_script)).most_common()),
        "copies": _copies(prepared),
    }


def main_script(text: str) -> str:
    """The script of most letters: the first word of their Unicode names, or "none" for a text without letters.

    >>> main_script("очень good")
    'cyrillic'
    """
    scripts = Counter(
        unicodedata.name(character, "UNNAMED").split()[0].lower() for character in text if character.isalpha()
    )
    return scripts.most_common(1)[0][0] if scripts else "none"


def _languages(prepared: pd.DataFrame, unlabelled: pd.DataFrame, labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Labelled comments, their labels, and unlabelled comments by language tag, the most frequent language first."""
    counts = pd.crosstab(prepared["language"], prepared["label"])
    without = Counter(unlabelled["language"])
    counts = counts.reindex(sorted({*counts.index, *without}), columns=list(labels), fill_value=0)
    found = {
        str(language): {
            "comments": sum(row),
            "labels": dict(zip(labels, row, strict=True)),
            "unlabelled": without[language],
        }
        for language, row in zip(counts.index, counts.to_numpy().tolist(), strict=True)
    }
    return dict(sorted(found.items(), key=lambda item: (-item[1]["comments"], -item[1]["unlabelled"])))


def _copies(prepared: pd.DataFrame) -> dict[str, int]:
    keys = prepared["text"].map(copy_key)
    groups = prepared.groupby("group")["label"]
    return {
        "exact": int(keys.duplicated().sum()),
        "near": int(len(prepared) - groups.ngroups - keys.duplicated().sum()),
        "groups_with_copies": int((groups.size() > 1).sum()),
        "groups_whose_labels_disagree": int((groups.nunique() > 1).sum()),
    }


def to_markdown(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    labels = list(report["parts"][PARTS[0]]["labels"])
    copies, characters = report["copies"], report["characters"]
    lines = [
        "# Data report",
        "",
        f"{report['comments']:,} labelled comments, {report['unlabelled']:,} unlabelled, {sum(report['rejects'].values()):,} set aside.",
        "",
        f"| part | comments | {' | '.join(labels)} |",
        f"|---|---|{'---|' * len(labels)}",
        *(
            f"| {part} | {facts['comments']:,} | "
            + " | ".join(f"{count:,} ({count / max(1, facts['comments']):.0%})" for count in facts["labels"].values())
            + " |"
            for part, facts in report["parts"].items()
        ),
        "",
        f"Length in characters: median {characters['median']:,.0f}, 95th percentile {characters['p95']:,.0f}, longest {characters['max']:,.0f}.",
        "",
        f"Copies: {copies['exact']:,} exact and {copies['near']:,} near ones in {copies['groups_with_copies']:,} groups; "
        f"in {copies['groups_whose_labels_disagree']:,} of these groups the labels disagree. Each group is in one part only.",
        "",
        f"| language | comments | {' | '.join(labels)} | unlabelled |",
        f"|---|---|{'---|' * len(labels)}---|",
        *(
            f"| {language} | {' | '.join(f'{count:,}' for count in (facts['comments'], *facts['labels'].values(), facts['unlabelled']))} |"
            for language, facts in report["languages"].items()
        ),
        "",
        "Languages are BCP 47 tags: `und` where the text does not tell, `mul` where it mixes English with another language.",
        "",
        "| script of most letters | comments |",
        "|---|---|",
        *(f"| {script} | {count:,} |" for script, count in report["scripts"].items()),
        "",
    ]
    if report["rejects"]:
        lines += ["| set aside because | rows |", "|---|---|"]
        lines += [f"| {reason} | {count:,} |" for reason, count in report["rejects"].items()] + [""]
    return "\n".join(lines)

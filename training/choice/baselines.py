"""Stage baselines: scores to compare the candidates with: the most frequent label, and word and character TF-IDF.

The linear families count n-grams of the tokens and of the characters that these spell, because all families share one
signature with token ids as inputs. The lead of TF-IDF of the text's own words and characters is the cost of that signature.
"""

from typing import Any

import numpy as np
from rich.console import Console
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_union
from sklearn.svm import LinearSVC

from commentwise.errors import run_command
from commentwise.fileio import write_json
from commentwise.training.candidate import read_part
from commentwise.training.project import HELD_OUT, PARTS, Project
from commentwise.training.scores import confusion, summary
from commentwise.training.settings import Settings, load_settings

WORDS = (1, 2)
CHARACTERS = (2, 5)
STRENGTHS = (0.1, 0.3, 1.0)
"""Values of C; the best on the validation part is kept."""


def main() -> None:
    """Measure the baselines."""
    project = Project()
    with Console(stderr=True).status("baselines: fitting word and character n-grams"):
        scores = baselines(project, load_settings(project.params))
    write_json(project.baselines, scores)
    print(
        "baselines: test macro-F1: "
        + ", ".join(f"{name} {facts['test']['macro_f1']:.3f}" for name, facts in scores.items())
    )


def baselines(project: Project, settings: Settings) -> dict[str, Any]:
    """Validation and test scores by baseline, in words."""
    parts = {name: read_part(project.prepared, name, settings.labels) for name in PARTS}
    features = make_union(
        TfidfVectorizer(ngram_range=WORDS, min_df=2, sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=CHARACTERS, min_df=2, sublinear_tf=True),
    )
    train = features.fit_transform(parts["train"].texts)
    held_out = {name: features.transform(parts[name].texts) for name in HELD_OUT}
    frequent = int(np.bincount(parts["train"].targets).argmax())
    majority = {
        name: _scores(parts[name].targets, np.full(len(parts[name].targets), frequent), settings) for name in HELD_OUT
    }
    return {f"always {settings.labels[frequent]}": majority} | {
        f"{family} on words and characters": _best(family, train, held_out, parts, settings)
        for family in ("logreg", "svm")
    }


def _best(
    family: str, train: Any, held_out: dict[str, Any], parts: dict[str, Any], settings: Settings
) -> dict[str, Any]:
    results = []
    for strength in STRENGTHS:
        classifier = (
            LogisticRegression(C=10 * strength, class_weight="balanced", max_iter=1000)
            if family == "logreg"
            else LinearSVC(C=strength, class_weight="balanced", random_state=settings.seed)
        )
        classifier.fit(train, parts["train"].targets)
        scores = {
            name: _scores(parts[name].targets, classifier.predict(features), settings)
            for name, features in held_out.items()
        }
        results.append({"C": classifier.C, **scores})
    return max(results, key=lambda result: result["validation"]["macro_f1"])


def _scores(targets: Any, predicted: Any, settings: Settings) -> dict[str, float]:
    counts = confusion(targets, predicted, len(settings.labels))
    return {name: float(value) for name, value in summary(counts, settings.is_ordinal).items()}


if __name__ == "__main__":
    run_command(main)

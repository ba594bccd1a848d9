"""Stage reference: what plain scikit-learn reaches with words and characters, to judge the linear families by.

Such a model cannot be served from token ids; it only tells how much the shared signature costs.
"""

from typing import Any

from rich.console import Console
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_union
from sklearn.svm import LinearSVC

from commentwise.errors import run_command
from commentwise.fileio import write_json
from commentwise.training.candidate import HELD_OUT, read_part
from commentwise.training.project import PARTS, REFERENCE
from commentwise.training.scores import confusion, summary
from commentwise.training.settings import Settings, load_settings

WORDS = (1, 2)
CHARACTERS = (2, 5)
STRENGTHS = (0.1, 0.3, 1.0)
"""Values of C tried for each classifier; the one best on the validation part stands."""


def main() -> None:
    """Run the stage in the current folder."""
    with Console(stderr=True).status("reference: fitting word and character n-grams"):
        scores = reference(load_settings())
    write_json(REFERENCE, scores)
    print(
        "reference: test macro-F1 of word and character TF-IDF: "
        + ", ".join(f"{family} {facts['test']['macro_f1']:.3f}" for family, facts in scores.items())
    )


def reference(settings: Settings) -> dict[str, Any]:
    """Validation and test scores of the word and character TF-IDF model, by linear family."""
    parts = {name: read_part(name, settings.labels) for name in PARTS}
    features = make_union(
        TfidfVectorizer(ngram_range=WORDS, min_df=2, sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=CHARACTERS, min_df=2, sublinear_tf=True),
    )
    train = features.fit_transform(parts["train"].texts)
    held_out = {name: features.transform(parts[name].texts) for name in HELD_OUT}
    return {family: _best(family, train, held_out, parts, settings) for family in ("logreg", "svm")}


def _best(
    family: str, train: Any, held_out: dict[str, Any], parts: dict[str, Any], settings: Settings
) -> dict[str, Any]:
    tried = []
    for strength in STRENGTHS:
        classifier = (
            LogisticRegression(C=10 * strength, class_weight="balanced", max_iter=1000)
            if family == "logreg"
            else LinearSVC(C=strength, class_weight="balanced", random_state=settings.seed)
        )
        classifier.fit(train, parts["train"].true)
        scores = {
            name: _scores(parts[name].true, classifier.predict(features), len(settings.labels))
            for name, features in held_out.items()
        }
        tried.append({"C": classifier.C, **scores})
    return max(tried, key=lambda facts: facts["validation"]["macro_f1"])


def _scores(true: Any, predicted: Any, labels: int) -> dict[str, float]:
    return {name: float(value) for name, value in summary(confusion(true, predicted, labels)).items()}


if __name__ == "__main__":
    run_command(main)

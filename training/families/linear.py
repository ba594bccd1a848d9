"""Stages train@logreg and train@svm: TF-IDF over word-piece n-grams, chosen by cross-validation.

The model is written as an ONNX graph at once, and its predictions come from that graph: what is measured is what will
be served.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from rich.console import Console
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import atomic_folder
from commentwise.models.checkpoint import tokenizer_json
from commentwise.models.engine import Engine
from commentwise.models.graphs.linear import linear_graph
from commentwise.models.probabilities import softmax
from commentwise.models.tokens import encode, load_tokenizer
from commentwise.training.calibration import fit_temperature
from commentwise.training.candidate import GRAPH, HELD_OUT, Part, read_part, write_results
from commentwise.training.project import CANDIDATES, PARTS
from commentwise.training.resources import Stopwatch
from commentwise.training.settings import LinearSettings, Settings, load_settings

Folds = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


def main() -> None:
    """Train the family named on the command line in the current folder."""
    parser = argparse.ArgumentParser(prog="python -m commentwise.training.families.linear", description=__doc__)
    parser.add_argument("family", choices=("logreg", "svm"), help="logistic regression or a linear SVM")
    family = parser.parse_args().family
    settings = load_settings()
    with Console(stderr=True).status(f"{family}: cross-validating"):
        facts = train(family, settings, CANDIDATES / family)
    chosen = ", ".join(f"{name} {value}" for name, value in facts["chosen"].items())
    print(
        f"train@{family}: validation macro-F1 {facts['validation_macro_f1']:.3f} with {chosen}; {facts['parameters']:,} parameters"
    )


def train(family: str, settings: Settings, out: Path) -> dict[str, Any]:
    """Train one linear family and write its candidate folder; return its metrics.

    Raises CommentwiseError when the training part is too small for the folds, or no n-gram is frequent enough.
    """
    stopwatch = Stopwatch()
    options: LinearSettings = getattr(settings.families, family)
    parts = {name: read_part(name, settings.labels) for name in PARTS}
    # Products this small take several times as long on more threads, and come out otherwise in the last bits.
    with threadpool_limits(1), atomic_folder(out) as folder:
        (folder / "tokenizer.json").write_text(tokenizer_json(settings.families.bert.checkpoint), encoding="utf-8")
        tokenizer = load_tokenizer(folder / "tokenizer.json", settings.max_tokens)
        special = {token for token, added in tokenizer.get_added_tokens_decoder().items() if added.special}
        documents = [_document(row, special) for row in encode(tokenizer, parts["train"].texts)]
        search = _search(family, options, documents, parts["train"], settings.seed)
        coefficients, intercept = _logit_weights(family, search, documents, parts["train"])
        features = search.best_estimator_.named_steps["features"]
        ngrams = [tuple(int(token) for token in name.split()) for name in features.get_feature_names_out()]
        onnx.save(linear_graph(ngrams, features.idf_, coefficients, intercept), folder / GRAPH)
        with Engine(folder / GRAPH) as engine:
            probabilities = {name: softmax(engine.logits(encode(tokenizer, parts[name].texts))) for name in HELD_OUT}
        facts = {
            "family": family,
            "chosen": {name.removeprefix("classifier__"): value for name, value in search.best_params_.items()},
            "cross_validation_macro_f1": float(search.best_score_),
            "parameters": int(coefficients.size + intercept.size + features.idf_.size),
        }
        write_results(folder, parts, probabilities, facts, _history(search), stopwatch.resources("cpu"))
        return dict(json.loads((folder / "metrics.json").read_text(encoding="utf-8")))


def _document(tokens: Sequence[int], special: set[int]) -> str:
    """Token ids as the words of a document, so that scikit-learn counts their n-grams."""
    return " ".join(str(token) for token in tokens if token not in special)


def _search(family: str, options: LinearSettings, documents: list[str], part: Part, seed: int) -> GridSearchCV:
    classifier = {"logreg": LogisticRegression(max_iter=1000), "svm": LinearSVC(random_state=seed)}[family]
    features = TfidfVectorizer(
        tokenizer=str.split, token_pattern=None, lowercase=False, ngram_range=(1, options.ngrams), min_df=options.min_df
    )
    search = GridSearchCV(
        Pipeline([("features", features), ("classifier", classifier)]),
        {"classifier__C": options.C, "classifier__class_weight": options.class_weight},
        scoring="f1_macro",
        cv=_folds(part, options.folds, seed),
        error_score="raise",
    )
    try:
        return search.fit(documents, part.true)
    except ValueError as error:
        if any(sign in str(error) for sign in ("no terms remain", "empty vocabulary", "documents than min_df")):
            raise CommentwiseError(
                f"families.{family}.min_df = {options.min_df}: no n-gram stands in that many of the training comments; lower it or add comments"
            ) from None
        raise


def _folds(part: Part, folds: int, seed: int) -> Folds:
    """Folds in which copies stay together, as in the split itself."""
    fewest = part.table.groupby("label")["group"].nunique()
    if fewest.min() < folds:
        raise CommentwiseError(
            f"label {fewest.idxmin()!r} has {fewest.min()} training comments, fewer than folds = {folds}: add comments or lower families.*.folds"
        )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return list(splitter.split(part.texts, part.true, part.table["group"]))


def _logit_weights(
    family: str, search: GridSearchCV, documents: list[str], part: Part
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (labels, features) and intercept (labels,) whose softmax is the classifier's probability.

    An SVM's margins are no log-odds: they are scaled by the temperature that fits the margins of cross-validation.
    """
    classifier = search.best_estimator_.named_steps["classifier"]
    coefficients, intercept = _one_row_per_label(classifier.coef_), _one_row_per_label(classifier.intercept_[:, None])
    if family == "svm":
        margins = cross_val_predict(
            search.best_estimator_, documents, part.true, cv=search.cv, method="decision_function"
        )
        temperature = fit_temperature(_one_row_per_label(np.atleast_2d(margins.T)).T, part.true)
        coefficients, intercept = coefficients / temperature, intercept / temperature
    return coefficients, intercept[:, 0]


def _one_row_per_label(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """scikit-learn keeps one row for two labels, the second one's log-odds: share it between both."""
    return np.concatenate([-rows / 2, rows / 2]) if len(rows) == 1 else rows


def _history(search: GridSearchCV) -> list[dict[str, Any]]:
    """One line per point of the grid."""
    results = search.cv_results_
    return [
        {
            "step": step,
            **{name.removeprefix("classifier__"): value for name, value in chosen.items()},
            "macro_f1": float(score),
        }
        for step, (chosen, score) in enumerate(zip(results["params"], results["mean_test_score"], strict=True), start=1)
    ]


if __name__ == "__main__":
    run_command(main)

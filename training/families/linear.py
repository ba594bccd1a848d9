"""The families logreg and svm: TF-IDF of word-piece n-grams, with a grid search by cross-validation.

The model is converted to an ONNX graph right after training. Its predictions come from that graph, so the evaluated model
is the served one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from commentwise.errors import CommentwiseError
from commentwise.fileio import atomic_folder
from commentwise.models.checkpoint import tokenizer_json
from commentwise.models.engine import Engine
from commentwise.models.tokens import encode, load_tokenizer
from commentwise.training.calibration import fit_temperature
from commentwise.training.candidate import GRAPH, Part, write_results
from commentwise.training.families.family import COMMENT_TOKENS, Family, Task
from commentwise.training.project import HELD_OUT
from commentwise.training.sections import Count, Positive, Section

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.model_selection import GridSearchCV

Folds = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


class LinearSettings(Section):
    """The features of a linear family, and the grid of the search."""

    ngrams: Annotated[int, Field(ge=1, le=5)]
    min_df: Count
    C: Annotated[list[Positive], Field(min_length=1)]
    class_weight: Annotated[list[Literal["balanced"] | None], Field(min_length=1)]
    folds: Annotated[int, Field(ge=2, le=20)]


class Linear(Family[LinearSettings]):
    """A linear classifier of scikit-learn on TF-IDF of token n-grams."""

    settings_type = LinearSettings
    answers_first = True

    @abstractmethod
    def estimator(self, seed: int) -> BaseEstimator:
        """The classifier, without the parameters of the grid."""

    def logit_scale(self, search: GridSearchCV, documents: list[str], part: Part) -> float:
        """The divisor that turns the classifier's scores into log-odds."""
        return 1.0

    def train(self, task: Task, settings: LinearSettings, out: Path) -> dict[str, Any]:
        """Search the grid, write the candidate with the best model as an ONNX graph, and return its metrics.

        Raises CommentwiseError if the training part is too small for the folds, or no n-gram is frequent enough.
        """
        import onnx
        from threadpoolctl import threadpool_limits

        from commentwise.models.graphs.linear import linear_graph

        parts = task.parts
        # With more threads, products this small take several times as long, and differ in the last bits.
        with threadpool_limits(1), atomic_folder(out) as folder:
            (folder / "tokenizer.json").write_text(tokenizer_json(task.checkpoint), encoding="utf-8")
            tokenizer = load_tokenizer(folder / "tokenizer.json", task.max_tokens)
            special = {token for token, added in tokenizer.get_added_tokens_decoder().items() if added.special}
            documents = [_document(row, special) for row in encode(tokenizer, parts["train"].texts)]
            search = self._search(settings, documents, parts["train"], task.seed)
            coefficients, intercept = _weights(search)
            scale = self.logit_scale(search, documents, parts["train"])
            features = search.best_estimator_.named_steps["features"]
            ngrams = [tuple(int(token) for token in name.split()) for name in features.get_feature_names_out()]
            onnx.save(linear_graph(ngrams, features.idf_, coefficients / scale, intercept / scale), folder / GRAPH)
            with Engine(folder / GRAPH) as engine:
                logits = {name: engine.logits(encode(tokenizer, parts[name].texts)) for name in HELD_OUT}
            facts = {
                "family": self.name,
                "chosen": {name.removeprefix("classifier__"): value for name, value in search.best_params_.items()},
                "cross_validation_macro_f1": float(search.best_score_),
                "parameters": int(coefficients.size + intercept.size + features.idf_.size),
                "operations": sum(COMMENT_TOKENS - n for n in range(settings.ngrams)) * len(intercept),
            }
            return write_results(folder, parts, logits, facts, _history(search))

    def _search(self, settings: LinearSettings, documents: list[str], part: Part, seed: int) -> GridSearchCV:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.model_selection import GridSearchCV
        from sklearn.pipeline import Pipeline

        features = TfidfVectorizer(
            tokenizer=str.split,
            token_pattern=None,
            lowercase=False,
            ngram_range=(1, settings.ngrams),
            min_df=settings.min_df,
        )
        search = GridSearchCV(
            Pipeline([("features", features), ("classifier", self.estimator(seed))]),
            {"classifier__C": settings.C, "classifier__class_weight": settings.class_weight},
            scoring="f1_macro",
            cv=_folds(part, settings.folds, seed),
            error_score="raise",
        )
        try:
            return search.fit(documents, part.targets)
        except ValueError as error:
            if any(phrase in str(error) for phrase in ("no terms remain", "empty vocabulary", "documents than min_df")):
                raise CommentwiseError(
                    f"families.{self.name}.min_df = {settings.min_df}: no n-gram occurs in that many training comments; lower it or add comments"
                ) from None
            raise


class LogisticRegressionFamily(Linear):
    """Logistic regression."""

    name = "logreg"

    def estimator(self, seed: int) -> BaseEstimator:
        """The classifier, without the parameters of the grid."""
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(max_iter=1000)


class SVMFamily(Linear):
    """A linear support vector machine."""

    name = "svm"

    def estimator(self, seed: int) -> BaseEstimator:
        """The classifier, without the parameters of the grid."""
        from sklearn.svm import LinearSVC

        return LinearSVC(random_state=seed)

    def logit_scale(self, search: GridSearchCV, documents: list[str], part: Part) -> float:
        """The temperature that calibrates the margins of cross-validation, because margins are not log-odds."""
        from sklearn.model_selection import cross_val_predict

        margins = cross_val_predict(
            search.best_estimator_, documents, part.targets, cv=search.cv, method="decision_function"
        )
        return fit_temperature(_one_row_per_label(np.atleast_2d(margins.T)).T, part.targets)


FAMILIES = (LogisticRegressionFamily(), SVMFamily())


def _document(tokens: Sequence[int], special: set[int]) -> str:
    """The token ids as a document with one word per token, for scikit-learn."""
    return " ".join(str(token) for token in tokens if token not in special)


def _folds(part: Part, folds: int, seed: int) -> Folds:
    """Stratified folds in which copies stay together, as in the split."""
    groups = part.table.groupby("label")["group"].nunique()
    if groups.min() < folds:
        raise CommentwiseError(
            f"label {groups.idxmin()!r} has {groups.min()} training comments, fewer than folds = {folds}: add comments or lower families.*.folds"
        )
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return list(splitter.split(part.texts, part.targets, part.table["group"]))


def _weights(search: GridSearchCV) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients (labels, features) and intercept (labels,) of the best classifier."""
    classifier = search.best_estimator_.named_steps["classifier"]
    return _one_row_per_label(classifier.coef_), _one_row_per_label(classifier.intercept_[:, None])[:, 0]


def _one_row_per_label(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """For two labels, scikit-learn has one row, the log-odds of the second: split it between both labels."""
    return np.concatenate([-rows / 2, rows / 2]) if len(rows) == 1 else rows


def _history(search: GridSearchCV) -> list[dict[str, Any]]:
    """One row per point of the grid."""
    results = search.cv_results_
    return [
        {
            "step": step,
            **{name.removeprefix("classifier__"): value for name, value in params.items()},
            "macro_f1": float(score),
        }
        for step, (params, score) in enumerate(zip(results["params"], results["mean_test_score"], strict=True), start=1)
    ]

"""The families logreg and svm: TF-IDF of n-grams of tokens and characters, with a grid search by cross-validation.

The model is converted to an ONNX graph right after training. Its predictions come from that graph, so the evaluated model
is the served one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from commentwise.errors import CommentwiseError
from commentwise.fileio import atomic_folder
from commentwise.models.checkpoint import tokenizer_json
from commentwise.models.engine import Engine
from commentwise.models.tokens import encode, load_tokenizer, spellings
from commentwise.training.calibration import fit_temperature
from commentwise.training.candidate import GRAPH, Part, write_results
from commentwise.training.families.family import COMMENT_TOKENS, Family, Task
from commentwise.training.project import HELD_OUT
from commentwise.training.scores import Targets
from commentwise.training.sections import Count, Positive, Section

if TYPE_CHECKING:
    from onnx import ModelProto
    from scipy.sparse import csr_matrix
    from sklearn.base import BaseEstimator
    from sklearn.model_selection import GridSearchCV

Folds = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


@dataclass(frozen=True)
class Kind:
    """One kind of features, tokens or characters, and their counts in the training part."""

    name: str
    ngrams: list[tuple[int, ...]]
    counts: csr_matrix
    """Shape (comments, n-grams)."""
    operations: int
    """N-grams in a comment of COMMENT_TOKENS tokens."""


class LinearSettings(Section):
    """The features of a linear family, and the grid of the search."""

    ngrams: Annotated[int, Field(ge=1, le=5)]
    min_df: Count
    characters: Annotated[int, Field(ge=0, le=8)]
    characters_min_df: Count
    C: Annotated[list[Positive], Field(min_length=1)]
    class_weight: Annotated[list[Literal["balanced"] | None], Field(min_length=1)]
    folds: Annotated[int, Field(ge=2, le=20)]


class Linear(Family[LinearSettings]):
    """A linear classifier of scikit-learn on TF-IDF of n-grams of tokens, and of the characters that these spell."""

    settings_type = LinearSettings
    answers_first = True

    @abstractmethod
    def estimator(self, seed: int) -> BaseEstimator:
        """The classifier, without the parameters of the grid."""

    def logit_scale(self, search: GridSearchCV, counts: csr_matrix, part: Part) -> float:
        """The divisor that turns the classifier's scores into log-odds."""
        return 1.0

    def train(self, task: Task, settings: LinearSettings, out: Path) -> dict[str, Any]:
        """Search the grid, write the candidate with the best model as an ONNX graph, and return its metrics.

        Raises CommentwiseError if the training part is too small for the folds, or no n-gram is frequent enough.
        """
        import onnx
        from threadpoolctl import threadpool_limits

        parts = task.parts
        # With more threads, products this small take several times as long, and differ in the last bits.
        with threadpool_limits(1), atomic_folder(out) as folder:
            (folder / "tokenizer.json").write_text(tokenizer_json(task.checkpoint), encoding="utf-8")
            tokenizer = load_tokenizer(folder / "tokenizer.json", task.max_tokens)
            spelled = spellings(tokenizer)
            rows = encode(tokenizer, parts["train"].texts)
            folds = _folds(parts["train"], settings.folds, task.seed)
            kinds = self._count(settings, rows, spelled)
            search = self._search(settings, kinds, parts["train"].targets, folds, task.seed)
            scale = self.logit_scale(search, _joined(kinds), parts["train"])
            onnx.save(_graph(search, kinds, spelled, scale), folder / GRAPH)
            with Engine(folder / GRAPH) as engine:
                logits = {name: engine.logits(encode(tokenizer, parts[name].texts)) for name in HELD_OUT}
            features = sum(len(kind.ngrams) for kind in kinds)
            labels = len(parts["train"].labels)
            facts = {
                "family": self.name,
                "chosen": {name.removeprefix("classifier__"): value for name, value in search.best_params_.items()},
                "cross_validation_macro_f1": float(search.best_score_),
                "parameters": features * (labels + 1) + labels,
                "operations": sum(kind.operations for kind in kinds) * labels,
            }
            return write_results(folder, parts, logits, facts, _history(search))

    def _count(self, settings: LinearSettings, rows: list[list[int]], spelled: list[str]) -> list[Kind]:
        """The counts of token n-grams and, if the settings say so, of character n-grams.

        They are counted once for all folds. So a fold's vocabulary has n-grams of the texts held out from it, but nothing of
        their labels.
        """
        key = f"families.{self.name}."
        kinds = [_kind("tokens", rows, (1, settings.ngrams), settings.min_df, key + "min_df", COMMENT_TOKENS)]
        if settings.characters:
            texts = [[ord(character) for token in row for character in spelled[token]] for row in rows]
            # Characters of a comment of COMMENT_TOKENS tokens, if its tokens are as long as those of these comments.
            length = round(COMMENT_TOKENS * sum(map(len, texts)) / sum(map(len, rows)))
            lengths = (min(2, settings.characters), settings.characters)
            kinds.append(
                _kind("characters", texts, lengths, settings.characters_min_df, key + "characters_min_df", length)
            )
        return kinds

    def _search(
        self, settings: LinearSettings, kinds: list[Kind], targets: Targets, folds: Folds, seed: int
    ) -> GridSearchCV:
        from sklearn.compose import ColumnTransformer
        from sklearn.feature_extraction.text import TfidfTransformer
        from sklearn.model_selection import GridSearchCV
        from sklearn.pipeline import Pipeline

        ends = np.cumsum([len(kind.ngrams) for kind in kinds]).tolist()
        columns = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
        features = ColumnTransformer(
            [(kind.name, TfidfTransformer(), columns[index]) for index, kind in enumerate(kinds)], sparse_threshold=1
        )
        search = GridSearchCV(
            Pipeline([("features", features), ("classifier", self.estimator(seed))]),
            {"classifier__C": settings.C, "classifier__class_weight": settings.class_weight},
            scoring="f1_macro",
            cv=folds,
            error_score="raise",
        )
        return search.fit(_joined(kinds), targets)


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

    def logit_scale(self, search: GridSearchCV, counts: csr_matrix, part: Part) -> float:
        """The temperature that calibrates the margins of cross-validation, because margins are not log-odds."""
        from sklearn.model_selection import cross_val_predict

        margins = cross_val_predict(
            search.best_estimator_, counts, part.targets, cv=search.cv, method="decision_function"
        )
        return fit_temperature(_one_row_per_label(np.atleast_2d(margins.T)).T, part.targets)


FAMILIES = (LogisticRegressionFamily(), SVMFamily())


def _kind(
    name: str, rows: list[list[int]], lengths: tuple[int, int], min_df: int, setting: str, reference: int
) -> Kind:
    """Count the n-grams of these lengths in rows of integers.

    `reference` is the length of the row for which operations are stated. Raises CommentwiseError, which names `setting`,
    if no n-gram is in `min_df` rows.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    sizes = range(lengths[0], lengths[1] + 1)

    def ngrams(row: list[int]) -> Iterator[tuple[int, ...]]:
        for size in sizes:
            yield from zip(*(row[start:] for start in range(size)), strict=False)

    # What is in every comment, as its start is, tells no comment from another.
    vectorizer = CountVectorizer(analyzer=ngrams, min_df=min_df, max_df=len(rows) - 1)
    try:
        counts = vectorizer.fit_transform(rows)
    except ValueError as error:
        if any(phrase in str(error) for phrase in ("no terms remain", "empty vocabulary", "documents than min_df")):
            raise CommentwiseError(
                f"{setting} = {min_df}: no n-gram occurs in that many training comments; lower it or add comments"
            ) from None
        raise
    found = sorted(vectorizer.vocabulary_)  # the columns are in this order
    return Kind(name, found, counts, sum(max(reference + 1 - size, 0) for size in sizes))


def _joined(kinds: list[Kind]) -> csr_matrix:
    """The counts of all kinds side by side."""
    from scipy.sparse import hstack

    return hstack([kind.counts for kind in kinds], format="csr")


def _graph(search: GridSearchCV, kinds: list[Kind], spelled: list[str], scale: float) -> ModelProto:
    """The best model as an ONNX graph, with its scores divided by `scale`."""
    from commentwise.models.graphs.linear import Characters, linear_graph, spelling_table

    coefficients, intercept = _weights(search)
    features = search.best_estimator_.named_steps["features"].named_transformers_
    ends = np.cumsum([len(kind.ngrams) for kind in kinds])
    weights = np.split(coefficients / scale, ends[:-1], axis=1)
    (tokens, *others) = [
        (kind.ngrams, features[kind.name].idf_, weight) for kind, weight in zip(kinds, weights, strict=True)
    ]
    characters = [Characters(spelling_table(spelled), *other) for other in others]
    return linear_graph(*tokens, intercept / scale, *characters)


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

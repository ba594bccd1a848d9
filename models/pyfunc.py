"""The bundle as an MLflow model of the flavor python_function, for mlflow.pyfunc and Spark.

MLflow imports this module from the copy uploaded with the bundle, and calls `_load_pyfunc`.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from commentwise.comments.limits import MAX_CHARACTERS
from commentwise.models.bundle import Classifier, Prediction


def answer_types(labels: list[str]) -> dict[str, str]:
    """The columns of the output with their MLflow types."""
    return {"label": "string", "confidence": "double", **{f"p_{label}": "double" for label in labels}}


class BundleModel:
    """A bundle that classifies the comments of a table."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._columns = list(answer_types(classifier.manifest.labels))

    def predict(self, table: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Label, confidence and probabilities of the comments in the first column.

        Non-text, blank or over-long rows get an empty label: MLflow's function for Spark would turn None into "None".
        """
        texts = [self._comment(text) for text in table.iloc[:, 0]]
        distinct = list(dict.fromkeys(filter(None, texts)))
        predictions = dict(zip(distinct, self._classifier.predict(distinct), strict=True))
        rows = [_answer(predictions[text]) if text else {"label": ""} for text in texts]
        return pd.DataFrame(rows, columns=self._columns, index=table.index)

    def _comment(self, text: Any) -> str:
        """The normalised text; empty if there is nothing to classify."""
        fits = isinstance(text, str) and len(text) <= MAX_CHARACTERS
        return self._classifier.manifest.normalize(text) if fits else ""


def _answer(prediction: Prediction) -> dict[str, Any]:
    shares = {f"p_{label}": share for label, share in prediction.probabilities.items()}
    return {"label": prediction.label, "confidence": shares[f"p_{prediction.label}"], **shares}


def _load_pyfunc(path: str) -> BundleModel:
    # One thread: Spark runs a task per core.
    return BundleModel(Classifier(Path(path), threads=1))

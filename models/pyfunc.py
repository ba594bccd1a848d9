"""The bundle as an MLflow model of the flavour python_function, for whatever loads such: mlflow.pyfunc, Spark.

MLflow imports this module from the copy that was uploaded with the bundle, and calls `_load_pyfunc`.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from commentwise.comments.limits import MAX_CHARACTERS
from commentwise.comments.normalize import normalize
from commentwise.models.bundle import Classifier, Prediction


def answer_types(labels: list[str]) -> dict[str, str]:
    """The columns of an answer with MLflow's types."""
    return {"label": "string", "confidence": "double", **{f"p_{label}": "double" for label in labels}}


class BundleModel:
    """A bundle that takes a table and answers with one."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._columns = list(answer_types(classifier.manifest.labels))

    def predict(self, table: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Label, confidence and probabilities of the comments in the first column.

        What is no comment has an empty label, since MLflow's function for Spark would turn none into the text "None".
        """
        texts = [_comment(text) for text in table.iloc[:, 0]]
        different = list(dict.fromkeys(filter(None, texts)))
        predictions = dict(zip(different, self._classifier.predict(different), strict=True))
        rows = [_answer(predictions[text]) if text else {"label": ""} for text in texts]
        return pd.DataFrame(rows, columns=self._columns, index=table.index)


def _comment(text: Any) -> str:
    """The normalised text, empty where there is nothing to classify."""
    return normalize(text) if isinstance(text, str) and len(text) <= MAX_CHARACTERS else ""


def _answer(prediction: Prediction) -> dict[str, Any]:
    shares = {f"p_{label}": share for label, share in prediction.probabilities.items()}
    return {"label": prediction.label, "confidence": shares[f"p_{prediction.label}"], **shares}


def _load_pyfunc(path: str) -> BundleModel:
    # One comment at a time: Spark runs a task per core.
    return BundleModel(Classifier(Path(path), threads=1))

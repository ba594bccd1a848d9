"""MLflow's scoring server (https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/): /invocations, /ping, /version."""

import io
import json
from typing import Any, Self

from fastapi import Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from commentwise import __version__
from commentwise.comments.formats.delimited import read_delimited
from commentwise.errors import CommentwiseError
from commentwise.serving.http.context import CurrentContext
from commentwise.serving.http.inference import CurrentInference
from commentwise.serving.http.refusals import ErrorModel, Refusal
from commentwise.serving.http.wire_format import WireFormat
from commentwise.serving.runtime.served import Cut

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
COLUMN = "text"


class Prediction(BaseModel):
    """One text's answer."""

    label: str
    score: float
    probabilities: dict[str, float]


class Predictions(BaseModel):
    """The answers, in order."""

    predictions: list[Prediction]


class ScoringError(ErrorModel):
    """MLflow's form of an error."""

    error_code: str = Field(examples=["BAD_REQUEST"])
    message: str

    @classmethod
    def of(cls, refusal: Refusal) -> Self:
        """Return the body for a refusal."""
        code = "INTERNAL_ERROR" if refusal.status >= 500 else "BAD_REQUEST"
        return cls(error_code=code, message=str(refusal))


FORMAT = WireFormat("MLflow", error=ScoringError)

_EXAMPLES = {
    "records": {"value": {"dataframe_records": [{COLUMN: "best tutorial ever"}]}},
    "split": {"value": {"dataframe_split": {"columns": [COLUMN], "data": [["best tutorial ever"]]}}},
    "inputs": {"value": {"inputs": ["best tutorial ever", "worst update ever"]}},
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object"}, "examples": _EXAMPLES},
            "text/csv": {"schema": {"type": "string"}, "example": f"{COLUMN}\nbest tutorial ever\n"},
        },
    }
}


@FORMAT.prediction("/invocations", errors=(415,), openapi_extra=_BODY)
async def invocations(request: Request, context: CurrentContext, inference: CurrentInference) -> Predictions:
    """The labels and probabilities of texts, in any of MLflow's JSON formats, or CSV with a column `text`."""
    body, content_type = await request.body(), request.headers.get("content-type", "")
    texts, cut = _parsed(body, content_type, inference.settings.truncate)
    classification = await inference.classify(context, "inputs", texts, cut)
    return Predictions(
        predictions=[
            Prediction(
                label=answer.label,
                score=max(answer.probabilities),
                probabilities=classification.by_label(answer.probabilities),
            )
            for answer in classification.answers
        ]
    )


@FORMAT.probe("/ping", response_class=PlainTextResponse)
async def ping(inference: CurrentInference) -> str:
    """Readiness."""
    await inference.check_ready()
    return "\n"


@FORMAT.get("/version", response_class=PlainTextResponse)
async def what_version() -> str:
    """The program's version."""
    return __version__


def _parsed(body: bytes, content_type: str, truncate: bool) -> tuple[list[str], Cut]:
    """The texts of a request, and their truncation. Raises Refusal."""
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == "text/csv":
            return _csv_texts(body.decode()), Cut(truncate)
        if kind != "application/json":
            raise Refusal(
                "Validation", f"the content type is {kind[:40]!r}: it must be application/json or text/csv", 415
            )
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal("Validation", "the body is not readable in its content type and UTF-8") from None
    present = [name for name in FORMATS if isinstance(content, dict) and name in content]
    if len(present) != 1:
        raise Refusal("Validation", f"the body must be a JSON object with exactly one of {', '.join(FORMATS)}")
    params = content.get("params") or {}
    if not isinstance(params, dict) or not isinstance(params.get("truncate", truncate), bool):
        raise Refusal("Validation", "params must be an object; the only one is truncate, true or false")
    return _texts(present[0], content[present[0]]), Cut(params.get("truncate", truncate))


def _csv_texts(body: str) -> list[str]:
    """The texts of a CSV body, read as files are. Raises Refusal naming the first bad row."""
    try:
        table = read_delimited(io.StringIO(body, newline="\n"), "the body", lambda: 0, body)
    except CommentwiseError as error:
        raise Refusal("Validation", str(error)) from None
    rows = list(table.rows)
    for row in rows:
        if row.reason:
            raise Refusal("Validation", f"row {row.number} of the body cannot be read: {row.reason}")
    return _texts("dataframe_records", [row.values for row in rows])


def _texts(name: str, rows: Any) -> list[str]:
    """The texts in one of the formats. Raises Refusal where there are none."""
    if name == "dataframe_split":
        columns, data = (rows.get("columns"), rows.get("data")) if isinstance(rows, dict) else (None, None)
        if not isinstance(columns, list) or not isinstance(data, list):
            raise Refusal("Validation", f"{name} must have columns and data, two lists")
        rows = [dict(zip(map(str, columns), row, strict=False)) if isinstance(row, list) else row for row in data]
    if isinstance(rows, str):
        rows = [rows]
    elif isinstance(rows, dict) and isinstance(rows.get(COLUMN), str | list):
        rows = [rows[COLUMN]] if isinstance(rows[COLUMN], str) else rows[COLUMN]  # inputs by column name
    if not isinstance(rows, list):
        raise Refusal("Validation", f"{name} must be a list")
    texts = [row.get(COLUMN) if isinstance(row, dict) else row[0] if _single(row) else row for row in rows]
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise Refusal(
                "Validation",
                f"{name}[{index}] has no text: it must be a text, or an object with one in the column {COLUMN!r}",
            )
    return [str(text) for text in texts]


def _single(row: Any) -> bool:
    return isinstance(row, list) and len(row) == 1

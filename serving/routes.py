"""The HTTP face: what requests look like, which texts are refused, what answers and errors look like."""

import reprlib
from typing import Annotated, Any, Literal, Protocol

from fastapi import FastAPI, HTTPException, Request, status
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator
from starlette.exceptions import HTTPException as StarletteHTTPException

from models.bundle import Prediction
from models.normalize import normalize
from serving.settings import Settings

OneOrMore = Annotated[
    list[str],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value, json_schema_input_type=str | list[str]),
]


class PredictRequest(BaseModel):
    """The request of Hugging Face's text-classification task. Its `parameters` are accepted and not read."""

    inputs: OneOrMore


class AnalyzeRequest(BaseModel):
    """One comment."""

    text: str


class Score(BaseModel):
    """One label's calibrated probability."""

    label: str
    score: float


class Analysis(BaseModel):
    """One comment's sentiment."""

    sentiment: str
    confidence: float
    probabilities: dict[str, float]


class ErrorBody(BaseModel):
    """The errors of Text Embeddings Inference, which its clients and Hugging Face's show to people."""

    error: str
    error_type: Literal["Validation", "Backend"]


class Backend(Protocol):
    """What stands behind the routes."""

    def ready(self) -> bool:
        """Whether the model is loaded."""

    def info(self) -> dict[str, Any]:
        """Facts about the model."""

    async def classify(self, texts: list[str]) -> list[Prediction]:
        """Answer texts, in order."""


def add_routes(app: FastAPI, backend: Backend, settings: Settings) -> None:
    """Give `app` its routes and the one form of its errors."""
    app.title = "Commentwise"

    errors: dict[int | str, dict[str, Any]] = {code: {"model": ErrorBody} for code in (413, 422, 500, 504)}

    @app.post("/predict", responses=errors)
    async def predict(request: PredictRequest) -> list[list[Score]]:
        """Every label's score for each text, highest first, in the form Hugging Face's clients read."""
        return [_scores(found) for found in await backend.classify(accepted_texts("inputs", request.inputs, settings))]

    @app.post("/analyze", responses=errors)
    async def analyze(request: AnalyzeRequest) -> Analysis:
        """The sentiment of one comment."""
        (found,) = await backend.classify(accepted_texts("text", [request.text], settings))
        return Analysis(
            sentiment=found.label, confidence=found.probabilities[found.label], probabilities=found.probabilities
        )

    @app.get("/health", responses={503: {"model": ErrorBody}})
    async def health() -> JSONResponse:
        """200 once the model is ready, 503 before."""
        if backend.ready():
            return JSONResponse({"status": "ready"})
        return _error_response(status.HTTP_503_SERVICE_UNAVAILABLE, "the model is not ready")

    @app.get("/info")
    async def info() -> dict[str, Any]:
        """What is being served."""
        return backend.info()

    _add_error_handlers(app, settings)


def _scores(prediction: Prediction) -> list[Score]:
    scores = [Score(label=label, score=score) for label, score in prediction.probabilities.items()]
    return sorted(scores, key=lambda entry: entry.score, reverse=True)


def accepted_texts(field: str, texts: list[str], settings: Settings) -> list[str]:
    """Return a request's texts, normalised.

    Raises HTTPException 422 when there are none or too many, or one is too long or has nothing left to classify.
    """
    if not texts:
        raise _refusal(f"{field} is empty: give at least one text")
    if len(texts) > settings.max_batch:
        raise _refusal(
            f"{field} has {len(texts)} texts and the limit is {settings.max_batch}: send them in several requests"
        )
    names = [field] if len(texts) == 1 else [f"{field}[{index}]" for index in range(len(texts))]
    return [_accepted_text(name, text, settings.max_characters) for name, text in zip(names, texts, strict=True)]


def _accepted_text(name: str, text: str, max_characters: int) -> str:
    if len(text) > max_characters:
        raise _refusal(f"{name} has {len(text)} characters and the limit is {max_characters}: shorten it")
    normalized = normalize(text)
    if not normalized:
        raise _refusal(
            f"{name} is {reprlib.repr(text)}: nothing is left of it once white space and invisible characters are dropped"
        )
    return normalized


def _refusal(message: str) -> HTTPException:
    return HTTPException(status.HTTP_422_UNPROCESSABLE_CONTENT, message)


def _add_error_handlers(app: FastAPI, settings: Settings) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return _error_response(status.HTTP_422_UNPROCESSABLE_CONTENT, _explanation(error.errors()[0]))

    @app.exception_handler(StarletteHTTPException)
    async def refused(_: Request, error: StarletteHTTPException) -> JSONResponse:
        if error.status_code == status.HTTP_413_CONTENT_TOO_LARGE:
            return _error_response(error.status_code, f"the body has more than {settings.max_body} bytes, the limit")
        if error.status_code == status.HTTP_400_BAD_REQUEST:  # FastAPI's word for bytes that are no JSON text at all
            return _error_response(status.HTTP_422_UNPROCESSABLE_CONTENT, "the body is not valid JSON in UTF-8")
        return _error_response(error.status_code, str(error.detail))

    @app.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> JSONResponse:
        return _error_response(status.HTTP_500_INTERNAL_SERVER_ERROR, "Internal server error")


def _error_response(code: int, message: str) -> JSONResponse:
    body = ErrorBody(error=message, error_type="Validation" if code < 500 else "Backend")
    return JSONResponse(body.model_dump(), code)


_EXPECTED = {"string_type": "it must be a text", "list_type": "it must be a text or a list of texts"}


def _explanation(error: dict[str, Any]) -> str:
    """One of pydantic's errors in one line: field, value and what was expected."""
    _, *place = error["loc"]
    if error["type"] == "json_invalid":
        return f"the body is not valid JSON: {error['ctx']['error']} at character {place[0]}"
    if not place:
        return "the body must be a JSON object, sent with the header Content-Type: application/json"
    field = str(place[0]) + "".join(f"[{index}]" for index in place[1:])
    if error["type"] == "missing":
        return f"the field {field} is missing"
    return f"{field} is {reprlib.repr(error['input'])}: {_EXPECTED.get(error['type'], error['msg'])}"

"""Requests that are refused or fail, and the error bodies that clients read.

The body has the form of Hugging Face's Text Embeddings Inference, whose clients show the message to their users. A wire
format may declare another form.
"""

from abc import ABC, abstractmethod
from typing import Literal, Self

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

ErrorType = Literal[
    "Validation", "Empty", "Unauthorized", "NotFound", "Overloaded", "Timeout", "Backend", "Unhealthy", "Internal"
]
_STATUS: dict[ErrorType, int] = {
    "Empty": 400,
    "Unauthorized": 401,
    "NotFound": 404,
    "Validation": 422,
    "Backend": 424,
    "Overloaded": 429,
    "Internal": 500,
    "Unhealthy": 503,
    "Timeout": 504,
}


class Refusal(Exception):
    """A request, or one of its texts, that is not answered."""

    def __init__(
        self, kind: ErrorType, message: str, status: int | None = None, headers: dict[str, str] | None = None
    ) -> None:
        """`status` overrides the kind's usual HTTP status."""
        super().__init__(message)
        self.kind = kind
        self.status = status or _STATUS[kind]
        self.headers = headers or {}


class ErrorModel(BaseModel, ABC):
    """The form of an error body."""

    @classmethod
    @abstractmethod
    def of(cls, refusal: Refusal) -> Self:
        """Return the body for a refusal."""


class ErrorBody(ErrorModel):
    """An error: its message and its kind."""

    error: str = Field(examples=["text is '': nothing is left of it"])
    error_type: ErrorType

    @classmethod
    def of(cls, refusal: Refusal) -> Self:
        """Return the body for a refusal."""
        return cls(error=str(refusal), error_type=refusal.kind)


def overloaded(retry_after: int) -> Refusal:
    """Return the refusal for a full queue, which should have emptied after `retry_after` seconds."""
    return Refusal(
        "Overloaded", "too many comments are waiting: retry later", headers={"Retry-After": str(retry_after)}
    )


def error_response(refusal: Refusal, error: type[ErrorModel]) -> JSONResponse:
    """Return the response for a refusal, with a body of the form `error`."""
    return JSONResponse(error.of(refusal).model_dump(), refusal.status, refusal.headers)

"""What goes wrong with a request, and what the client reads.

The body has the form of Hugging Face's Text Embeddings Inference, which its clients show to people; MLflow's routes
use MLflow's.
"""

from typing import Any, Literal

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


class ErrorBody(BaseModel):
    """An error, in words and as a kind."""

    error: str = Field(examples=["text is '': nothing is left of it"])
    error_type: ErrorType


class Refusal(Exception):
    """A request, or one of its texts, that is not answered."""

    def __init__(
        self, kind: ErrorType, message: str, status: int | None = None, headers: dict[str, str] | None = None
    ) -> None:
        """`status` where it is not the one usual for the kind."""
        super().__init__(message)
        self.kind = kind
        self.status = status or _STATUS[kind]
        self.headers = headers or {}

    def body(self) -> ErrorBody:
        """What the client reads."""
        return ErrorBody(error=str(self), error_type=self.kind)


def overloaded(retry_after: int) -> Refusal:
    """What a request is told that finds the queue full; in so many seconds it should be empty."""
    return Refusal(
        "Overloaded", "too many comments are waiting: ask again later", headers={"Retry-After": str(retry_after)}
    )


def error_response(path: str, refusal: Refusal) -> JSONResponse:
    """The answer to a request for `path`."""
    body: dict[str, Any] = refusal.body().model_dump()
    if path == "/invocations":
        code = "INTERNAL_ERROR" if refusal.status >= 500 else "BAD_REQUEST"
        body = {"error_code": code, "message": str(refusal)}
    return JSONResponse(body, refusal.status, refusal.headers)

"""The handlers of errors raised inside the application."""

import re
import reprlib
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from commentwise.serving.events import log
from commentwise.serving.http.context import RequestContext
from commentwise.serving.http.refusals import Refusal, error_response


def add_error_handlers(app: FastAPI) -> None:
    """Answer every error of `app` with a body of the form that the route's format declares."""

    def answer(request: Request, refusal: Refusal) -> JSONResponse:
        context: RequestContext = request.state.context
        context.kind = refusal.kind
        return error_response(refusal, context.error)

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> JSONResponse:
        return answer(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return answer(request, Refusal("Validation", explanation(error.errors())))

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI's status for a body that cannot be decoded
            return answer(request, Refusal("Validation", "the body is not valid JSON in UTF-8"))
        kind = "NotFound" if error.status_code == HTTPStatus.NOT_FOUND else "Validation"
        headers = dict(error.headers or {})
        return answer(request, Refusal(kind, str(error.detail), error.status_code, headers))  # type: ignore[arg-type]

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        log("failure", "error", request_id=request.state.context.request_id, error=type(error).__name__)
        return answer(request, Refusal("Internal", "Internal server error"))


_EXPECTED = {"string_type": "it must be a text", "list_type": "it must be a list of texts"}
_ALTERNATIVE = re.compile(r"str|list\[.*\]")
"""The part that pydantic adds to an error's location for each of the types that a field may have."""


def explanation(errors: Sequence[Any]) -> str:
    """Describe pydantic's errors in one line: the first field, its value and the expected type."""
    places = [[part for part in error["loc"] if part != "body"] for error in errors]
    if errors[0]["type"] == "json_invalid":
        return f"the body is not valid JSON: {errors[0]['ctx']['error']} at character {places[0][0]}"
    if not places[0]:
        return "the body must be a JSON object, sent with the header Content-Type: application/json"
    # A field that may have several types has an error for each: the one with the longest location is most specific.
    here = [index for index, place in enumerate(places) if place[0] == places[0][0]]
    best = max(reversed(here), key=lambda index: len(places[index]))
    error, place = errors[best], places[best]
    either = len(here) > 1 and _ALTERNATIVE.fullmatch(str(place[-1]))
    first, *rest = [part for part in place if not _ALTERNATIVE.fullmatch(str(part))]
    field = str(first) + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest)
    if error["type"] == "missing":
        return f"the field {field} is missing"
    message = _EXPECTED.get(error["type"], str(error["msg"]).removeprefix("Value error, "))
    if either:
        message = "it must be a text or a list of texts"
    return f"{field} is {reprlib.repr(error['input'])}: {message}"

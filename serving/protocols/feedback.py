"""Feedback: the labels that people say comments should have, for the next training. Stored before it is answered."""

import re
import time
import uuid
from typing import Annotated, Any, Literal

from fastapi import Body
from pydantic import BaseModel, Field

from commentwise.comments.traits import text_hash
from commentwise.serving.http.context import CurrentContext
from commentwise.serving.http.inference import CurrentInference, Inference
from commentwise.serving.http.refusals import Refusal
from commentwise.serving.http.wire_format import PREDICTION_ERRORS, WireFormat
from commentwise.serving.log.feedback_store import StoreUnavailable

FORMAT = WireFormat("Commentwise")
_PREDICTION = re.compile(r"([\x21-\x2e\x30-\x7e][\x21-\x7e]{0,127}?)(?:/(\d{1,4}))?")
EXAMPLE = {"text": "not bad at all", "label": "positive", "predicted": "negative", "source": "extension"}


class FeedbackRequest(BaseModel):
    """The right label of a comment, which is identified by its text or by the prediction it got."""

    text: str | None = Field(default=None, description="the comment; it is stored, and may be trained on")
    prediction_id: str | None = Field(
        default=None,
        max_length=133,
        description="X-Request-Id of the answer; with /N for text number N (from 0) of a request with several",
    )
    label: str = Field(description="the label it should have been given")
    predicted: str | None = Field(default=None, max_length=200, description="the label it was given, where known")
    bundle_id: str | None = Field(default=None, max_length=64, description="the bundle that gave it, where known")
    source: str = Field(default="api", pattern=r"^[\w.:-]{1,64}$", description="the application that sends it")
    id: uuid.UUID | None = Field(default=None, description="the sender's id; sent again, the feedback is stored once")


class Stored(BaseModel):
    """The feedback is in the database."""

    stored: Literal[True] = True


@FORMAT.post("/feedback", limited=True, errors=(*PREDICTION_ERRORS, 404, 409))
# Not async: FastAPI runs it in a thread, because a database may be slow.
def feedback(
    body: Annotated[FeedbackRequest, Body(openapi_examples={"correction": {"value": EXAMPLE}})],
    context: CurrentContext,
    inference: CurrentInference,
) -> Stored:
    """Send the label that a comment should have been given."""
    if inference.feedback is None:
        raise Refusal("NotFound", "feedback is not kept here: the server runs without --prediction-log")
    try:
        stored = inference.feedback.store(_content(body, context.caller, inference))
    except StoreUnavailable:
        message = "feedback cannot be stored now: send it again later, with the same id"
        raise Refusal("Unhealthy", message, headers={"Retry-After": "5"}) from None
    if not stored:
        raise Refusal("Validation", f"id is {str(body.id)!r}: other feedback has it already", status=409)
    return Stored()


def _content(body: FeedbackRequest, caller: str, inference: Inference) -> dict[str, Any]:
    """The fields of commentwise.models.prediction_log.Feedback. Raises Refusal naming the field that is invalid."""
    labels = inference.deployment.live.bundle.labels
    for name, value in (("label", body.label), ("predicted", body.predicted)):
        if value is not None and value not in labels:
            raise Refusal("Validation", f"{name} is {value[:50]!r}: the labels are {', '.join(labels)}")
    if body.bundle_id is not None and not body.bundle_id.isalnum():
        raise Refusal("Validation", f"bundle_id is {body.bundle_id!r}: copy it from /info or /analyze")
    text, (request_id, position) = _text(body, inference), _prediction(body)
    return {
        "id": str(body.id or uuid.uuid4()),
        "time": time.time(),
        "request_id": request_id,
        "position": position,
        "text_hash": text_hash(text) if text else None,
        "text": text,
        "label": body.label,
        "predicted": body.predicted,
        "bundle_id": body.bundle_id,
        "source": body.source,
        "rater": caller,
    }


def _text(body: FeedbackRequest, inference: Inference) -> str | None:
    if (body.text is None) == (body.prediction_id is None):
        raise Refusal("Validation", "give either text, the comment, or prediction_id, the X-Request-Id of its answer")
    return None if body.text is None else inference.acceptable("text", body.text)


def _prediction(body: FeedbackRequest) -> tuple[str | None, int | None]:
    if body.prediction_id is None:
        return None, None
    if (match := _PREDICTION.fullmatch(body.prediction_id)) is None:
        raise Refusal("Validation", f"prediction_id is {body.prediction_id!r}: it is the X-Request-Id of an answer")
    return match[1], int(match[2] or 0)

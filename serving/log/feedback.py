"""Taking in what people say a comment's label is, for the next training. Stored before it is answered."""

import re
import threading
import time
import uuid
from typing import Annotated, Any, Literal

from fastapi import Body, FastAPI
from pydantic import BaseModel, Field

from commentwise.comments.traits import text_hash
from commentwise.serving.events import log
from commentwise.serving.http.context import CurrentExchange
from commentwise.serving.http.inference import Inference
from commentwise.serving.http.refusals import ErrorBody, Refusal

PATH = "/feedback"
_PREDICTION = re.compile(r"([\x21-\x2e\x30-\x7e][\x21-\x7e]{0,127}?)(?:/(\d{1,4}))?")
EXAMPLE = {"text": "not bad at all", "label": "positive", "predicted": "negative", "source": "extension"}


class FeedbackRequest(BaseModel):
    """The right label of a comment, which is named by its text or by the prediction it got."""

    text: str | None = Field(default=None, description="the comment; it is stored, and may be trained on")
    prediction_id: str | None = Field(
        default=None,
        max_length=133,
        description="X-Request-Id of the answer; with /N for the text at place N (from 0) of a request with several",
    )
    label: str = Field(description="what it should have been")
    predicted: str | None = Field(default=None, max_length=200, description="what it was taken for, as far as known")
    bundle_id: str | None = Field(default=None, max_length=64, description="by which bundle, as far as known")
    source: str = Field(default="api", pattern=r"^[\w.:-]{1,64}$", description="where somebody said so")
    id: uuid.UUID | None = Field(default=None, description="the sender's id: sent again, it is stored once")


class Stored(BaseModel):
    """It is in the database."""

    stored: Literal[True] = True


class FeedbackStore:
    """The database, reached when the first feedback comes."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: Any = None
        self._lock = threading.Lock()

    def store(self, given: dict[str, Any]) -> bool:
        """Store feedback, given as the fields of commentwise.models.prediction_log.Feedback; False where its id has another content.

        Raises Refusal when the database does not answer.
        """
        from sqlalchemy.exc import SQLAlchemyError

        from commentwise.models import prediction_log

        try:
            with self._lock:
                if self._engine is None:
                    engine = prediction_log.connect(self._url)
                    prediction_log.prepare(engine)
                    self._engine = engine
                with self._engine.begin() as connection:
                    return prediction_log.insert_feedback(connection, prediction_log.Feedback(**given))
        except SQLAlchemyError as error:
            log("feedback refused", "warning", reason=prediction_log.reason(error))
            message = "feedback cannot be stored now: send it again later, with the same id"
            raise Refusal("Unhealthy", message, headers={"Retry-After": "5"}) from None


def add_routes(app: FastAPI, inference: Inference, errors: dict[int | str, dict[str, Any]]) -> None:
    """Give `app` the route. Without a prediction log it says that nothing is kept here."""
    url = inference.settings.prediction_log
    store = FeedbackStore(url) if url else None

    @app.post(PATH, responses={**errors, 404: {"model": ErrorBody}, 409: {"model": ErrorBody}}, tags=["Commentwise"])
    # In a thread of its own: a database may be slow.
    def feedback(
        asked: Annotated[FeedbackRequest, Body(openapi_examples={"correction": {"value": EXAMPLE}})],
        exchange: CurrentExchange,
    ) -> Stored:
        """Say what a comment's label should have been."""
        if store is None:
            raise Refusal("NotFound", "feedback is not kept here: the server runs without --prediction-log")
        if not store.store(_content(asked, exchange.caller, inference)):
            raise Refusal("Validation", f"id is {str(asked.id)!r}: other feedback has it already", status=409)
        return Stored()


def _content(asked: FeedbackRequest, caller: str, inference: Inference) -> dict[str, Any]:
    """What is stored. Raises Refusal naming the field that is unfit."""
    labels = inference.deployment.live.bundle.manifest.labels
    for name, value in (("label", asked.label), ("predicted", asked.predicted)):
        if value is not None and value not in labels:
            raise Refusal("Validation", f"{name} is {value[:50]!r}: the labels are {', '.join(labels)}")
    if asked.bundle_id is not None and not asked.bundle_id.isalnum():
        raise Refusal("Validation", f"bundle_id is {asked.bundle_id!r}: it is what /info and /analyze give")
    text, (request_id, position) = _text(asked, inference), _prediction(asked)
    return {
        "id": str(asked.id or uuid.uuid4()),
        "time": time.time(),
        "request_id": request_id,
        "position": position,
        "text_hash": text_hash(text) if text else None,
        "text": text,
        "label": asked.label,
        "predicted": asked.predicted,
        "bundle_id": asked.bundle_id,
        "source": asked.source,
        "rater": caller,
    }


def _text(asked: FeedbackRequest, inference: Inference) -> str | None:
    if (asked.text is None) == (asked.prediction_id is None):
        raise Refusal("Validation", "give either text, the comment, or prediction_id, the X-Request-Id of its answer")
    return None if asked.text is None else inference.acceptable("text", asked.text)


def _prediction(asked: FeedbackRequest) -> tuple[str | None, int | None]:
    if asked.prediction_id is None:
        return None, None
    if (found := _PREDICTION.fullmatch(asked.prediction_id)) is None:
        raise Refusal("Validation", f"prediction_id is {asked.prediction_id!r}: it is the X-Request-Id of an answer")
    return found[1], int(found[2] or 0)

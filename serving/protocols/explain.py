"""Explanations of answers, in Commentwise's own format."""

from typing import Annotated, Literal

from fastapi import Body
from pydantic import BaseModel, Field

from commentwise.serving.http.context import CurrentContext
from commentwise.serving.http.inference import CurrentInference
from commentwise.serving.http.wire_format import PREDICTION_ERRORS, WireFormat
from commentwise.serving.runtime.served import Cut

FORMAT = WireFormat("Commentwise")
EXAMPLE_TEXT = "this is not bad at all"


class ExplainRequest(BaseModel):
    """A comment, and the label to explain."""

    text: str
    label: str | None = Field(default=None, description="default: the most probable one")
    truncate: bool | None = Field(
        default=None, description="truncate a text that is too long; default: the server's setting"
    )


class Word(BaseModel):
    """A word and its weight."""

    text: str
    start: int = Field(description="position of its first character in the text, from 0, in Unicode code points")
    end: int = Field(description="position after its last character")
    weight: float = Field(
        description="log-odds of the label with the word, minus those without it, in natural-log units; positive: the word speaks for the label"
    )


class ExplainResponse(BaseModel):
    """The weight of each word that the model read."""

    label: str
    probability: float = Field(description="its calibrated probability")
    method: Literal["leave-one-out"]
    words: list[Word] = Field(description="in the order of the text")
    tokens: int = Field(description="tokens the model read")
    truncated: bool = Field(description="whether the comment had more of them")
    bundle_id: str


# No prediction: its answers are neither counted nor logged as such.
@FORMAT.post("/explain", limited=True, errors=PREDICTION_ERRORS)
async def explain(
    body: Annotated[
        ExplainRequest,
        Body(
            openapi_examples={
                "the predicted label": {"value": {"text": EXAMPLE_TEXT}},
                "another label": {"value": {"text": EXAMPLE_TEXT, "label": "negative"}},
            }
        ),
    ],
    context: CurrentContext,
    inference: CurrentInference,
) -> ExplainResponse:
    """How much each word of a comment speaks for a label. Each word costs as much as classifying a comment."""
    cut = Cut(inference.settings.truncate if body.truncate is None else body.truncate)
    explained = await inference.explain(context, body.text, body.label, cut)
    return ExplainResponse(
        label=explained.explanation.label,
        probability=explained.explanation.probability,
        method="leave-one-out",
        words=[
            Word(text=word.text, start=word.start, end=word.end, weight=word.weight)
            for word in explained.explanation.words
        ],
        tokens=explained.tokens,
        truncated=explained.truncated,
        bundle_id=explained.bundle.bundle_id,
    )

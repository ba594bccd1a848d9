"""Commentwise's own format, for the extension, the client library and your own code."""

from typing import Annotated

from fastapi import Body
from pydantic import BaseModel, Field

from commentwise.serving.http.context import CurrentContext
from commentwise.serving.http.inference import CurrentInference, Inference
from commentwise.serving.http.refusals import ErrorBody, Refusal
from commentwise.serving.http.wire_format import WireFormat
from commentwise.serving.runtime.served import Classification, Classified, Cut

FORMAT = WireFormat("Commentwise")
EXAMPLE_TEXT = "best tutorial ever"
EXAMPLE_TEXTS = [EXAMPLE_TEXT, "worst update ever"]


class AnalyzeRequest(BaseModel):
    """One comment as `text`, or several as `texts`."""

    text: str | None = Field(default=None, description="one comment", examples=[EXAMPLE_TEXT])
    texts: list[str] | None = Field(default=None, description="several comments", examples=[EXAMPLE_TEXTS])
    truncate: bool | None = Field(
        default=None, description="truncate texts that are too long; default: the server's setting"
    )
    unsure_below: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="answers with less confidence are marked as unsure; default: the server's setting",
    )


class Analysis(BaseModel):
    """One comment's label."""

    label: str = Field(description="the most probable label")
    sentiment: str = Field(description="the same, by its earlier name")
    confidence: float = Field(description="its calibrated probability")
    probabilities: dict[str, float]
    unsure: bool = Field(description="whether the confidence is below unsure_below")
    tokens: int = Field(description="tokens the model read")
    truncated: bool = Field(description="whether the comment had more of them")
    language: str = Field(
        description="a BCP-47 tag: und where the comment does not tell, mul where it mixes English with another language"
    )


class Analyses(BaseModel):
    """Several comments' labels, in order; a comment that fails has its error instead."""

    results: list[Analysis | ErrorBody]
    bundle_id: str


@FORMAT.prediction("/analyze", fast=True)
async def analyze(
    body: Annotated[
        AnalyzeRequest,
        Body(
            openapi_examples={
                "one": {"value": {"text": EXAMPLE_TEXT}},
                "several": {"value": {"texts": EXAMPLE_TEXTS, "unsure_below": 0.6}},
            }
        ),
    ],
    context: CurrentContext,
    inference: CurrentInference,
) -> Analysis | Analyses:
    """The label of one comment, or of several."""
    settings = inference.settings
    cut = Cut(settings.truncate if body.truncate is None else body.truncate)
    threshold = settings.unsure_below if body.unsure_below is None else body.unsure_below
    if (body.text is None) == (body.texts is None):
        raise Refusal("Validation", "give either text, one comment, or texts, a list of them")
    if body.text is not None:
        one = await inference.classify(context, "text", [body.text], cut, languages=True)
        return _analysis(one, one.answers[0], threshold, inference)
    several = await inference.classify_each(context, "texts", body.texts or [], cut, languages=True)
    return Analyses(
        results=[
            ErrorBody.of(answer) if isinstance(answer, Refusal) else _analysis(several, answer, threshold, inference)
            for answer in several.answers
        ],
        bundle_id=several.bundle.bundle_id,
    )


def _analysis(
    classification: Classification[Classified] | Classification[Classified | Refusal],
    answer: Classified,
    threshold: float,
    inference: Inference,
) -> Analysis:
    confidence = max(answer.probabilities)
    if unsure := confidence < threshold:
        inference.metrics.unsure.inc()
    return Analysis(
        label=answer.label,
        sentiment=answer.label,
        confidence=confidence,
        probabilities=classification.by_label(answer.probabilities),
        unsure=unsure,
        tokens=answer.tokens,
        truncated=answer.truncated,
        language=answer.language,
    )

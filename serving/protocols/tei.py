"""Hugging Face's formats: Text Embeddings Inference (https://huggingface.github.io/text-embeddings-inference/) and the
inference API that `huggingface_hub.InferenceClient` speaks.

They differ in one thing: for a single text, TEI answers with a list of scores and the inference API with a list of such
a list. The inference API's clients always send `parameters`, TEI's never do.
"""

import math
from typing import Annotated, Any, Literal

from fastapi import Body
from pydantic import BaseModel, BeforeValidator, Field

from commentwise.serving.http.context import CurrentContext
from commentwise.serving.http.inference import CurrentInference
from commentwise.serving.http.info import info
from commentwise.serving.http.wire_format import WireFormat
from commentwise.serving.runtime.served import Classification, Classified, Cut

FORMAT = WireFormat("Text Embeddings Inference")


def _texts(value: Any) -> Any:
    """Unwrap texts that are in a list of their own, as TEI's clients send them."""
    if isinstance(value, list):
        return [item[0] if isinstance(item, list) and len(item) == 1 else item for item in value]
    return value


Inputs = Annotated[
    str | list[str],
    BeforeValidator(
        _texts, json_schema_input_type=str | list[str] | list[Annotated[list[str], Field(min_length=1, max_length=1)]]
    ),
]
Side = Annotated[
    Literal["right", "left"], BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
]


class Parameters(BaseModel):
    """The parameters of Hugging Face's clients."""

    function_to_apply: Literal["softmax", "sigmoid", "none"] | None = None
    top_k: Annotated[int, Field(ge=1)] | None = None


class PredictRequest(BaseModel):
    """Texts to classify."""

    inputs: Inputs
    truncate: bool | None = Field(
        default=None, description="truncate texts that are too long; default: the server's setting"
    )
    truncation_direction: Side = "right"
    raw_scores: bool = Field(default=False, description="logits instead of probabilities")
    parameters: Parameters | None = None


class Score(BaseModel):
    """One label's calibrated probability, or its logit."""

    label: str
    score: float


@FORMAT.prediction("/", fast=True, tags=["Hugging Face"])  # its clients post to the server's bare address
@FORMAT.prediction("/predict", fast=True)
async def predict(
    body: Annotated[
        PredictRequest,
        Body(
            openapi_examples={
                "one": {"value": {"inputs": "best tutorial ever"}},
                "several": {"value": {"inputs": [["best tutorial ever"], ["worst update ever"]]}},
                "Hugging Face": {"value": {"inputs": "best tutorial ever", "parameters": {"top_k": 1}}},
            }
        ),
    ],
    context: CurrentContext,
    inference: CurrentInference,
) -> list[Score] | list[list[Score]]:
    """Every label's score for each text, highest first."""
    allowed = inference.settings.truncate if body.truncate is None else body.truncate
    cut = Cut(allowed, body.truncation_direction)
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    classification = await inference.classify(context, "inputs", texts, cut)
    scores = [_scores(classification, answer, body) for answer in classification.answers]
    single = isinstance(body.inputs, str) and body.parameters is None
    return scores[0] if single else scores


@FORMAT.get("/info")
async def about(inference: CurrentInference) -> dict[str, Any]:
    """The live bundle and the server's limits."""
    return info(inference.deployment.live.bundle, inference.settings)


def _scores(classification: Classification[Classified], answer: Classified, body: PredictRequest) -> list[Score]:
    parameters = body.parameters or Parameters()
    values = answer.probabilities
    if body.raw_scores or parameters.function_to_apply == "none":
        values = answer.logits
    elif parameters.function_to_apply == "sigmoid":
        values = [1 / (1 + math.exp(-logit)) for logit in answer.logits]
    scores = [Score(label=label, score=value) for label, value in classification.by_label(values).items()]
    return sorted(scores, key=lambda entry: entry.score, reverse=True)[: parameters.top_k]

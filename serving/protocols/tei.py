"""Hugging Face's formats: Text Embeddings Inference (https://huggingface.github.io/text-embeddings-inference/) and the
inference API that `huggingface_hub.InferenceClient` speaks.

They differ in one thing: for a single text the former answers with a list of scores, the latter with a list of that.
Only the latter's clients send `parameters`, always.
"""

import math
from typing import Annotated, Any, Literal

from fastapi import Body, FastAPI
from pydantic import BaseModel, BeforeValidator, Field

from commentwise.serving.http.context import CurrentExchange
from commentwise.serving.http.inference import Inference
from commentwise.serving.runtime.served import Classified, Cut


def _texts(value: Any) -> Any:
    """One text, or a list of texts, each of which may stand in a list of its own, as TEI has it."""
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
    """What Hugging Face's clients ask for."""

    function_to_apply: Literal["softmax", "sigmoid", "none"] | None = None
    top_k: Annotated[int, Field(ge=1)] | None = None


class PredictRequest(BaseModel):
    """Texts to classify."""

    inputs: Inputs
    truncate: bool | None = Field(
        default=None, description="cut texts that are too long; default: as the server is set"
    )
    truncation_direction: Side = "right"
    raw_scores: bool = Field(default=False, description="logits instead of probabilities")
    parameters: Parameters | None = None


class Score(BaseModel):
    """One label's calibrated probability, or its logit."""

    label: str
    score: float


def add_routes(app: FastAPI, inference: Inference, errors: dict[int | str, dict[str, Any]]) -> None:
    """Give `app` the routes of TEI and of Hugging Face's clients, which post to the server's very address."""

    @app.post("/", responses=errors, tags=["Hugging Face"])
    @app.post("/predict", responses=errors, tags=["Text Embeddings Inference"])
    async def predict(
        asked: Annotated[
            PredictRequest,
            Body(
                openapi_examples={
                    "one": {"value": {"inputs": "best tutorial ever"}},
                    "several": {"value": {"inputs": [["best tutorial ever"], ["worst update ever"]]}},
                    "Hugging Face": {"value": {"inputs": "best tutorial ever", "parameters": {"top_k": 1}}},
                }
            ),
        ],
        exchange: CurrentExchange,
    ) -> list[Score] | list[list[Score]]:
        """Every label's score for each text, highest first."""
        allowed = inference.settings.truncate if asked.truncate is None else asked.truncate
        cut = Cut(allowed, asked.truncation_direction)
        texts = [asked.inputs] if isinstance(asked.inputs, str) else asked.inputs
        found = await inference.classify(exchange, "inputs", texts, cut)
        labels = inference.deployment.live.bundle.manifest.labels
        answers = [_scores(answer, labels, asked) for answer in found]
        single = isinstance(asked.inputs, str) and asked.parameters is None
        return answers[0] if single else answers


def _scores(found: Classified, labels: list[str], asked: PredictRequest) -> list[Score]:
    parameters = asked.parameters or Parameters()
    values = found.probabilities
    if asked.raw_scores or parameters.function_to_apply == "none":
        values = found.logits
    elif parameters.function_to_apply == "sigmoid":
        values = [1 / (1 + math.exp(-logit)) for logit in found.logits]
    scores = [Score(label=label, score=value) for label, value in zip(labels, values, strict=True)]
    return sorted(scores, key=lambda entry: entry.score, reverse=True)[: parameters.top_k]

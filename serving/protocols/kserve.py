"""The Open Inference Protocol, version 2 (https://github.com/kserve/open-inference-protocol), over HTTP, with the
binary tensors that NVIDIA's tritonclient sends (Triton's extension "binary_data").

One input, `text` (BYTES, shape [n] or [n, 1]); outputs `label` (BYTES, [n]), `probabilities` and `logits` (FP32, [n, labels]).
"""

import json
import math
import struct
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError

from commentwise import __version__
from commentwise.serving.http.context import Exchange
from commentwise.serving.http.inference import Inference
from commentwise.serving.http.refusals import ErrorBody, Refusal
from commentwise.serving.runtime.served import Classified, Cut

MODEL = "commentwise"
BINARY_HEADER = "Inference-Header-Content-Length"
_LENGTH = struct.Struct("<I")


class InputTensor(BaseModel):
    """The texts."""

    name: str = Field(examples=["text"])
    shape: list[int] = Field(examples=[[1]])
    datatype: str = Field(examples=["BYTES"])
    parameters: dict[str, Any] = {}
    data: list[str] | list[list[str]] | None = Field(default=None, examples=[["best tutorial ever"]])


class RequestedOutput(BaseModel):
    """An output that is wanted."""

    name: str = Field(examples=["probabilities"])


class InferRequest(BaseModel):
    """Texts to classify."""

    id: str | None = None
    inputs: list[InputTensor] = Field(min_length=1, max_length=1)
    outputs: list[RequestedOutput] = []


class OutputTensor(BaseModel):
    """An output, row by row."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any]


class InferResponse(BaseModel):
    """The outputs."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


def add_routes(app: FastAPI, inference: Inference) -> None:
    """Give `app` the protocol's routes."""
    deployment = inference.deployment
    tags: Any = ["Open Inference Protocol"]
    errors: Any = {code: {"model": ErrorBody} for code in (400, 404, 413, 422, 424, 429, 503, 504)}
    content = {"application/json": {"schema": _inlined(InferRequest.model_json_schema())}}
    body = {"requestBody": {"content": content, "required": True}}

    def named(model: str, wanted: str | None) -> str:
        """The version there is. Raises Refusal where another was asked for."""
        found = deployment.live.bundle.bundle_id[:12]
        if model != MODEL or wanted not in (None, found):
            asked = model if wanted is None else f"{model} version {wanted}"
            raise Refusal("NotFound", f"there is no model {asked[:80]!r}: this server has {MODEL!r}, version {found}")
        return found

    @app.get("/v2", tags=tags)
    async def server() -> dict[str, Any]:
        """The server."""
        return {"name": "commentwise", "version": __version__, "extensions": ["binary_tensor_data"]}

    @app.get("/v2/health/live", tags=tags)
    async def live() -> dict[str, bool]:
        """Liveness."""
        return {"live": True}

    @app.get("/v2/health/ready", tags=tags, responses={503: {"model": ErrorBody}})
    async def ready() -> dict[str, bool]:
        """Readiness."""
        if not await deployment.ready():
            raise Refusal("Unhealthy", "the model is not ready")
        return {"ready": True}

    @app.get("/v2/models/{model}", tags=tags, responses={404: {"model": ErrorBody}})
    @app.get("/v2/models/{model}/versions/{wanted}", tags=tags, responses={404: {"model": ErrorBody}})
    async def metadata(model: str, wanted: str | None = None) -> dict[str, Any]:
        """The model's inputs and outputs."""
        found = named(model, wanted)
        labels = len(deployment.live.bundle.manifest.labels)
        return {
            "name": MODEL,
            "versions": [found],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
            "outputs": [
                {"name": "label", "datatype": "BYTES", "shape": [-1]},
                {"name": "probabilities", "datatype": "FP32", "shape": [-1, labels]},
                {"name": "logits", "datatype": "FP32", "shape": [-1, labels]},
            ],
        }

    @app.get("/v2/models/{model}/ready", tags=tags, responses=errors)
    @app.get("/v2/models/{model}/versions/{wanted}/ready", tags=tags, responses=errors)
    async def model_ready(model: str, wanted: str | None = None) -> dict[str, Any]:
        """The model's readiness."""
        named(model, wanted)
        await ready()
        return {"name": MODEL, "ready": True}

    @app.post("/v2/models/{model}/infer", tags=tags, responses=errors, openapi_extra=body)
    @app.post("/v2/models/{model}/versions/{wanted}/infer", tags=tags, responses=errors, openapi_extra=body)
    async def infer(request: Request, model: str, wanted: str | None = None) -> InferResponse:
        """The labels, probabilities and logits of texts."""
        exchange: Exchange = request.state.exchange
        found_version = named(model, wanted)
        asked, binary = _parsed(await request.body(), request.headers.get(BINARY_HEADER))
        texts = _texts(asked.inputs[0], binary)
        labels = deployment.live.bundle.manifest.labels
        found = await inference.classify(exchange, "inputs[0].data", texts, Cut(inference.settings.truncate))
        names = [output.name for output in asked.outputs] or ["label", "probabilities"]
        return InferResponse(
            model_name=MODEL,
            model_version=found_version,
            id=asked.id,
            outputs=[_output(name, found, len(labels)) for name in names],
        )


def _inlined(schema: dict[str, Any]) -> Any:
    """A JSON schema without references, which would lead nowhere from inside an OpenAPI document."""
    definitions = schema.pop("$defs", {})

    def resolved(part: Any) -> Any:
        if isinstance(part, dict):
            part = definitions[part["$ref"].rpartition("/")[2]] if "$ref" in part else part
            return {key: resolved(value) for key, value in part.items()}
        return [resolved(value) for value in part] if isinstance(part, list) else part

    return resolved(schema)


def _parsed(body: bytes, length: str | None) -> tuple[InferRequest, bytes]:
    """The request, and the bytes behind its JSON. Raises RequestValidationError or Refusal."""
    end = len(body)
    if length is not None:
        if not length.isdigit() or int(length) > end:
            raise Refusal(
                "Validation", f"the header {BINARY_HEADER} is {length[:20]!r}: it must be the length of the JSON part"
            )
        end = int(length)
    try:
        return InferRequest.model_validate(json.loads(body[:end])), body[end:]
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None
    except (ValueError, RecursionError):
        raise Refusal("Validation", "the body is not valid JSON in UTF-8") from None


def _texts(tensor: InputTensor, binary: bytes) -> list[str]:
    """The texts of the input tensor. Raises Refusal where they do not fit its description."""
    if tensor.name != "text" or tensor.datatype != "BYTES":
        raise Refusal(
            "Validation",
            f"inputs[0] is {tensor.name[:40]!r} of {tensor.datatype[:20]!r}: the model takes 'text' of 'BYTES'",
        )
    if tensor.data is None:
        texts = _decoded(binary)
    else:
        texts = [text for row in tensor.data for text in (row if isinstance(row, list) else [row])]
    if len(tensor.shape) not in (1, 2) or tensor.shape[1:] not in ([], [1]) or math.prod(tensor.shape) != len(texts):
        raise Refusal(
            "Validation",
            f"inputs[0].shape is {tensor.shape[:5]} and there are {len(texts)} texts: it must be [n] or [n, 1]",
        )
    return texts


def _decoded(binary: bytes) -> list[str]:
    """Texts in UTF-8, each behind its length."""
    texts = []
    start = 0
    try:
        while start < len(binary):
            (length,) = _LENGTH.unpack_from(binary, start)
            start += _LENGTH.size
            if start + length > len(binary):
                raise ValueError("cut short")
            texts.append(binary[start : start + length].decode())
            start += length
    except (struct.error, ValueError) as error:
        raise Refusal("Validation", f"inputs[0] has no readable binary data ({error})") from None
    return texts


def _output(name: str, found: list[Classified], labels: int) -> OutputTensor:
    if name == "label":
        return OutputTensor(name=name, datatype="BYTES", shape=[len(found)], data=[answer.label for answer in found])
    if name not in ("probabilities", "logits"):
        raise Refusal("Validation", f"outputs has {name[:40]!r}: the model gives label, probabilities and logits")
    rows = [answer.probabilities if name == "probabilities" else answer.logits for answer in found]
    return OutputTensor(
        name=name, datatype="FP32", shape=[len(found), labels], data=[value for row in rows for value in row]
    )

"""The Open Inference Protocol, version 2 (https://github.com/kserve/open-inference-protocol), over HTTP, with the
binary tensors that NVIDIA's tritonclient sends (Triton's extension "binary_data").

One input, `text` (BYTES, shape [n] or [n, 1]); outputs `label` (BYTES, [n]), `probabilities` and `logits` (FP32, [n, labels]).
"""

import json
import math
import struct
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError

from commentwise import __version__
from commentwise.serving.http.context import CurrentContext
from commentwise.serving.http.inference import CurrentInference
from commentwise.serving.http.refusals import Refusal
from commentwise.serving.http.wire_format import WireFormat
from commentwise.serving.runtime.served import Bundle, Classification, Classified, Cut

FORMAT = WireFormat("Open Inference Protocol")
MODEL = "commentwise"
BINARY_HEADER = "Inference-Header-Content-Length"
_LENGTH = struct.Struct("<I")


class InputTensor(BaseModel):
    """A tensor of texts."""

    name: str = Field(examples=["text"])
    shape: list[int] = Field(examples=[[1]])
    datatype: str = Field(examples=["BYTES"])
    parameters: dict[str, Any] = {}
    data: list[str] | list[list[str]] | None = Field(default=None, examples=[["best tutorial ever"]])


class RequestedOutput(BaseModel):
    """An output that the client requests."""

    name: str = Field(examples=["probabilities"])


class InferRequest(BaseModel):
    """Texts to classify."""

    id: str | None = None
    inputs: list[InputTensor] = Field(min_length=1, max_length=1)
    outputs: list[RequestedOutput] = []


class OutputTensor(BaseModel):
    """An output, flattened in row-major order."""

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


def _inlined(schema: dict[str, Any]) -> Any:
    """Replace the references of a JSON schema, which would not resolve inside an OpenAPI document."""
    definitions = schema.pop("$defs", {})

    def resolved(part: Any) -> Any:
        if isinstance(part, dict):
            part = definitions[part["$ref"].rpartition("/")[2]] if "$ref" in part else part
            return {key: resolved(value) for key, value in part.items()}
        return [resolved(value) for value in part] if isinstance(part, list) else part

    return resolved(schema)


def _body() -> dict[str, Any]:
    """The OpenAPI description of an infer request, whose body the function reads itself."""
    content = {"application/json": {"schema": _inlined(InferRequest.model_json_schema())}}
    return {"requestBody": {"content": content, "required": True}}


@FORMAT.get("/v2")
async def server() -> dict[str, Any]:
    """The server."""
    return {"name": "commentwise", "version": __version__, "extensions": ["binary_tensor_data"]}


@FORMAT.probe("/v2/health/live")
async def live() -> dict[str, bool]:
    """Liveness."""
    return {"live": True}


@FORMAT.probe("/v2/health/ready", errors=(503,))
async def ready(inference: CurrentInference) -> dict[str, bool]:
    """Readiness."""
    await inference.check_ready()
    return {"ready": True}


@FORMAT.get("/v2/models/{model}", errors=(404,))
@FORMAT.get("/v2/models/{model}/versions/{version}", errors=(404,))
async def metadata(inference: CurrentInference, model: str, version: str | None = None) -> dict[str, Any]:
    """The model's inputs and outputs."""
    bundle = inference.deployment.live.bundle
    _check_model(bundle, model, version)
    labels = len(bundle.labels)
    return {
        "name": MODEL,
        "versions": [_version(bundle)],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, labels]},
            {"name": "logits", "datatype": "FP32", "shape": [-1, labels]},
        ],
    }


@FORMAT.get("/v2/models/{model}/ready", errors=(404, 503))
@FORMAT.get("/v2/models/{model}/versions/{version}/ready", errors=(404, 503))
async def model_ready(inference: CurrentInference, model: str, version: str | None = None) -> dict[str, Any]:
    """The model's readiness."""
    _check_model(inference.deployment.live.bundle, model, version)
    await inference.check_ready()
    return {"name": MODEL, "ready": True}


@FORMAT.prediction("/v2/models/{model}/infer", errors=(404,), openapi_extra=_body())
@FORMAT.prediction("/v2/models/{model}/versions/{version}/infer", errors=(404,), openapi_extra=_body())
async def infer(
    request: Request, context: CurrentContext, inference: CurrentInference, model: str, version: str | None = None
) -> InferResponse:
    """The labels, probabilities and logits of texts."""
    _check_model(inference.deployment.live.bundle, model, version)
    body, binary = _parsed(await request.body(), request.headers.get(BINARY_HEADER))
    texts = _texts(body.inputs[0], binary)
    classification = await inference.classify(context, "inputs[0].data", texts, Cut(inference.settings.truncate))
    _check_model(classification.bundle, model, version)  # it may have been swapped meanwhile
    names = [output.name for output in body.outputs] or ["label", "probabilities"]
    return InferResponse(
        model_name=MODEL,
        model_version=_version(classification.bundle),
        id=body.id,
        outputs=[_output(name, classification) for name in names],
    )


def _version(bundle: Bundle) -> str:
    return bundle.bundle_id[:12]


def _check_model(bundle: Bundle, model: str, version: str | None) -> None:
    """Raise Refusal unless the bundle is the requested model and version."""
    if model != MODEL or version not in (None, _version(bundle)):
        requested = model if version is None else f"{model} version {version}"
        raise Refusal(
            "NotFound", f"there is no model {requested[:80]!r}: this server has {MODEL!r}, version {_version(bundle)}"
        )


def _parsed(body: bytes, length: str | None) -> tuple[InferRequest, bytes]:
    """Split a body into the request and the binary data after its JSON. Raises RequestValidationError or Refusal."""
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
    """The texts of the input tensor. Raises Refusal where they do not match its shape and datatype."""
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
    """Decode texts in UTF-8, each preceded by its length. Raises Refusal where the data is invalid."""
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


def _output(name: str, classification: Classification[Classified]) -> OutputTensor:
    """An output tensor. Raises Refusal where the model has no output of this name."""
    answers = classification.answers
    if name == "label":
        labels = [answer.label for answer in answers]
        return OutputTensor(name=name, datatype="BYTES", shape=[len(answers)], data=labels)
    if name not in ("probabilities", "logits"):
        raise Refusal("Validation", f"outputs has {name[:40]!r}: the model has label, probabilities and logits")
    rows = [answer.probabilities if name == "probabilities" else answer.logits for answer in answers]
    shape = [len(answers), len(classification.bundle.labels)]
    return OutputTensor(name=name, datatype="FP32", shape=shape, data=[value for row in rows for value in row])

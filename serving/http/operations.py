"""The routes for operating the server: health, metrics, reload."""

from typing import Any, Literal

from fastapi.responses import JSONResponse, Response

from commentwise.errors import CommentwiseError
from commentwise.serving.http.inference import CurrentInference
from commentwise.serving.http.refusals import Refusal
from commentwise.serving.http.wire_format import WireFormat

METRICS = "/metrics"
ADMIN = "/admin/"
"""Routes below it need an API key created with --admin."""
OPERATIONS = WireFormat("operations")


@OPERATIONS.probe("/health", errors=(503,))
async def health(inference: CurrentInference) -> JSONResponse:
    """Readiness: 200 while the model answers, else 503; also 503 once the server was told to stop."""
    await inference.check_ready()
    return JSONResponse({"status": "ready"})


@OPERATIONS.probe("/health/live")
async def live() -> dict[Literal["status"], str]:
    """Liveness: 200 while the server responds at all."""
    return {"status": "live"}


@OPERATIONS.get(METRICS, response_class=Response)
async def metrics(inference: CurrentInference) -> Response:
    """All metrics, for Prometheus."""
    return Response(inference.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@OPERATIONS.post(f"{ADMIN}reload", errors=(401, 403, 424))
async def reload(inference: CurrentInference) -> dict[str, Any]:
    """Check for a new version of --model now and swap it in. The running bundle stays where the new one is invalid."""
    try:
        swapped = await inference.deployment.reload()
    except CommentwiseError as error:
        raise Refusal("Backend", f"the running bundle stays: {error}") from None
    return {"swapped": swapped, "bundle_id": inference.deployment.live.bundle.bundle_id}

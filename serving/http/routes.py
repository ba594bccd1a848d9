"""The application's routes: our own here, those of other servers in serving/protocols."""

from typing import Annotated, Any, Literal

from fastapi import Body, FastAPI
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from commentwise import __version__
from commentwise.errors import CommentwiseError
from commentwise.serving.http.context import CurrentExchange
from commentwise.serving.http.error_handlers import add_error_handlers
from commentwise.serving.http.inference import Inference
from commentwise.serving.http.info import info
from commentwise.serving.http.refusals import ErrorBody, Refusal
from commentwise.serving.log import feedback
from commentwise.serving.protocols import kserve, mlflow_scoring, tei
from commentwise.serving.runtime.served import Classified, Cut
from commentwise.serving.settings import Settings

EXAMPLE_TEXT = "best tutorial ever"


class AnalyzeRequest(BaseModel):
    """One comment as `text`, or several as `texts`."""

    text: str | None = Field(default=None, examples=[EXAMPLE_TEXT])
    texts: list[str] | None = Field(default=None, examples=[[EXAMPLE_TEXT, "worst update ever"]])
    truncate: bool | None = Field(
        default=None, description="cut texts that are too long; default: as the server is set"
    )
    unsure_below: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="least confidence of an answer that is not unsure; default: as the server is set",
    )


class Analysis(BaseModel):
    """One comment's sentiment."""

    sentiment: str = Field(description="the most probable label")
    confidence: float = Field(description="its calibrated probability")
    probabilities: dict[str, float]
    unsure: bool = Field(description="whether the confidence is below unsure_below")
    tokens: int = Field(description="tokens the model read")
    truncated: bool = Field(description="whether the comment had more of them")


class Analyses(BaseModel):
    """Several comments' sentiments, in order; one that cannot be answered has its error instead."""

    results: list[Analysis | ErrorBody]
    bundle_id: str


def add_routes(app: FastAPI, inference: Inference, settings: Settings) -> None:
    """Give `app` its routes and the one form of its errors."""
    app.title = "Commentwise"
    app.version = __version__
    deployment = inference.deployment
    errors: dict[int | str, dict[str, Any]] = {
        code: {"model": ErrorBody} for code in (400, 401, 408, 413, 422, 424, 429, 500, 503, 504)
    }

    @app.post("/analyze", responses=errors, tags=["Commentwise"])
    async def analyze(
        asked: Annotated[
            AnalyzeRequest,
            Body(
                openapi_examples={
                    "one": {"value": {"text": EXAMPLE_TEXT}},
                    "several": {"value": {"texts": [EXAMPLE_TEXT, "worst update ever"], "unsure_below": 0.6}},
                }
            ),
        ],
        exchange: CurrentExchange,
    ) -> Analysis | Analyses:
        """The sentiment of one comment, or of several."""
        cut = Cut(settings.truncate if asked.truncate is None else asked.truncate)
        least = settings.unsure_below if asked.unsure_below is None else asked.unsure_below
        if (asked.text is None) == (asked.texts is None):
            raise Refusal("Validation", "give either text, one comment, or texts, a list of them")
        labels = deployment.live.bundle.manifest.labels
        if asked.text is not None:
            (found,) = await inference.classify(exchange, "text", [asked.text], cut)
            return _analysis(found, labels, least, inference)
        results = await inference.classify_each(exchange, "texts", asked.texts or [], cut)
        return Analyses(
            results=[
                _analysis(found, labels, least, inference) if isinstance(found, Classified) else found.body()
                for found in results
            ],
            bundle_id=deployment.live.bundle.bundle_id,
        )

    @app.get("/health", responses={503: {"model": ErrorBody}}, tags=["health"])
    async def health() -> JSONResponse:
        """Readiness: 200 while the model answers; 503 before, when it does not, and once the server is told to stop."""
        if not await deployment.ready():
            raise Refusal("Unhealthy", "the model is not ready")
        return JSONResponse({"status": "ready"})

    @app.get("/health/live", tags=["health"])
    async def live() -> dict[Literal["status"], str]:
        """Liveness: 200 as long as the server can answer at all."""
        return {"status": "live"}

    @app.get("/info", tags=["Text Embeddings Inference"])
    async def about() -> dict[str, Any]:
        """What is being served, with the fields of Text Embeddings Inference."""
        return info(deployment.live.bundle, settings)

    @app.get("/metrics", tags=["health"], response_class=Response)
    async def figures() -> Response:
        """Everything counted, for Prometheus."""
        return Response(deployment.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.post("/admin/reload", responses={401: {"model": ErrorBody}, 403: {"model": ErrorBody}}, tags=["admin"])
    async def reload() -> dict[str, Any]:
        """Look for a new version of --model now, and swap it in. The old one goes on where the new one is unfit."""
        try:
            swapped = await deployment.reload()
        except CommentwiseError as error:
            raise Refusal("Backend", f"the bundle that runs goes on: {error}") from None
        return {"swapped": swapped, "bundle_id": deployment.live.bundle.bundle_id}

    feedback.add_routes(app, inference, errors)
    tei.add_routes(app, inference, errors)
    kserve.add_routes(app, inference)
    mlflow_scoring.add_routes(app, inference)
    add_error_handlers(app)


def _analysis(found: Classified, labels: list[str], least: float, inference: Inference) -> Analysis:
    confidence = max(found.probabilities)
    if unsure := confidence < least:
        inference.metrics.unsure.inc()
    return Analysis(
        sentiment=found.label,
        confidence=confidence,
        probabilities=dict(zip(labels, found.probabilities, strict=True)),
        unsure=unsure,
        tokens=found.tokens,
        truncated=found.truncated,
    )

"""Traces for an OpenTelemetry collector: FastAPI creates the spans, this module exports them."""

from collections.abc import Callable
from importlib import import_module

from commentwise.errors import CommentwiseError


def start_tracing(endpoint: str) -> Callable[[], None]:
    """Export spans to the OTLP/HTTP collector at `endpoint`; return the function that flushes them at shutdown.

    Call it in the process that creates the spans: a thread exports them. Raises CommentwiseError when the SDK is not installed.
    """
    try:
        trace = import_module("opentelemetry.trace")
        sdk = import_module("opentelemetry.sdk.trace")
        export = import_module("opentelemetry.sdk.trace.export")
        resources = import_module("opentelemetry.sdk.resources")
        otlp = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError:
        raise CommentwiseError(
            "--otlp-endpoint needs OpenTelemetry's SDK: pip install 'commentwise[otel]', or leave it out"
        ) from None
    provider = sdk.TracerProvider(resource=resources.Resource.create({"service.name": "commentwise"}))
    exporter = otlp.OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    shutdown: Callable[[], None] = provider.shutdown
    return shutdown

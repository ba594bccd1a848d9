"""The server's metrics, for Prometheus.

All requests, queues and answers pass through the HTTP process, so its metrics are complete. Names that begin with
`te_` are those of Hugging Face's Text Embeddings Inference, so that its dashboards work here.
"""

from collections import Counter as Counts
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

disable_created_metrics()  # type: ignore[no-untyped-call]  # the *_created series, which no dashboard reads
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TOKENS = (8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)
SHARES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)


class Metrics:
    """The metrics of one server."""

    def __init__(self, waiting: Callable[[], int], workers: Callable[[], int]) -> None:
        """`waiting` and `workers` return, at each scrape, the number of comments in the queue and of workers."""
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "commentwise_requests", "Requests by route and status.", ["route", "status"], registry=registry
        )
        self.predictions = Counter("commentwise_predictions", "Comments by label.", ["label"], registry=registry)
        self.unsure = Counter("commentwise_unsure", "Comments marked as unsure.", registry=registry)
        self.truncated = Counter("commentwise_truncated", "Comments that were truncated.", registry=registry)
        self.cache_hits = Counter(
            "commentwise_cache_hits", "Comments whose answer was cached or pending.", registry=registry
        )
        self.cache_misses = Counter("commentwise_cache_misses", "Comments that were computed.", registry=registry)
        self.padding = Counter("commentwise_padding_tokens", "Tokens computed that are padding.", registry=registry)
        self.tokens = Counter("commentwise_tokens", "Tokens computed, without padding.", registry=registry)
        self.lost_workers = Counter("commentwise_lost_workers", "Inference processes that died.", registry=registry)
        self.swaps = Counter("commentwise_bundle_loads", "Bundles loaded, by outcome.", ["outcome"], registry=registry)
        self.shadow = Counter(
            "commentwise_shadow_comments", "Comments the shadow answered as well.", ["agrees"], registry=registry
        )
        self.log_rows = Counter(
            "commentwise_prediction_log_rows", "Rows of the prediction log, by outcome.", ["outcome"], registry=registry
        )
        self.confidence = Histogram(
            "commentwise_confidence", "Probability of the label.", buckets=SHARES, registry=registry
        )
        self.bundle = Gauge(
            "commentwise_bundle_info",
            "The live bundle.",
            ["bundle_id", "family", "graph", "device"],
            registry=registry,
        )
        self._durations = {
            stage: Histogram(f"te_request_{name}", f"Seconds {text}.", buckets=SECONDS, registry=registry)
            for stage, name, text in (
                ("total", "duration", "from a request's head to its answer"),
                ("tokenization", "tokenization_duration", "spent tokenising a request's texts"),
                ("queue", "queue_duration", "that a request's slowest comment waited"),
                ("inference", "inference_duration", "that a request's slowest comment ran"),
            )
        }
        self._batch_size = Histogram("te_batch_next_size", "Comments run together.", buckets=SIZES, registry=registry)
        self._batch_tokens = Histogram(
            "te_batch_next_tokens", "Tokens run together, including padding.", buckets=TOKENS, registry=registry
        )
        Gauge("te_queue_size", "Comments in the queue.", registry=registry).set_function(waiting)
        Gauge("commentwise_workers", "Inference processes that are ready.", registry=registry).set_function(workers)
        self._outcomes = _Outcomes()
        registry.register(self._outcomes)

    def request(self, failure: str, durations: dict[str, float]) -> None:
        """Count a prediction request; `failure` is its kind of error or empty, `durations` are in seconds by stage."""
        self._outcomes.add(failure)
        for stage, seconds in durations.items():
            self._durations[stage].observe(seconds)

    def batch(self, lengths: Sequence[int]) -> None:
        """Count comments that were run together, given their lengths in tokens."""
        tokens = sum(lengths)
        padded = len(lengths) * max(lengths)
        self._batch_size.observe(len(lengths))
        self._batch_tokens.observe(padded)
        self.tokens.inc(tokens)
        self.padding.inc(padded - tokens)

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)


class _Outcomes(Collector):
    """te_request_count and its parts, with the names of Text Embeddings Inference, which lack the suffix `_total`."""

    def __init__(self) -> None:
        self._count = 0
        self._failures: Counts[str] = Counts()

    def add(self, failure: str) -> None:
        self._count += 1
        if failure:
            self._failures[failure] += 1

    def collect(self) -> Iterator[Metric]:
        """Yield the samples (called by prometheus_client)."""
        for name, text, value in (
            ("te_request_count", "Requests for predictions.", self._count),
            ("te_request_success", "Requests that were answered.", self._count - self._failures.total()),
        ):
            metric = Metric(name, text, "unknown")
            metric.add_sample(name, {}, value)
            yield metric
        metric = Metric("te_request_failure", "Requests that were refused or failed, by kind.", "unknown")
        for kind, number in self._failures.items():
            metric.add_sample("te_request_failure", {"err": kind}, number)
        yield metric

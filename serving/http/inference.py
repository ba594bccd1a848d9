"""The classification of a request's texts, the same for every wire format."""

import asyncio
import reprlib
import time
from collections.abc import Iterable, Sequence
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from tokenizers import Encoding

from commentwise.serving.http.context import RequestContext
from commentwise.serving.http.refusals import Refusal, overloaded
from commentwise.serving.log.feedback_store import FeedbackStore
from commentwise.serving.log.recorder import PredictionLog
from commentwise.serving.runtime.deployment import Deployment
from commentwise.serving.runtime.metrics import Metrics
from commentwise.serving.runtime.scheduler import InferenceFailed, Overloaded, WorkerLost
from commentwise.serving.runtime.served import (
    CHARACTERS_AT_ONCE,
    Answered,
    Bundle,
    Classification,
    Classified,
    Cut,
    token_count,
)
from commentwise.serving.settings import Settings

Old = TypeVar("Old")
New = TypeVar("New")


class Inference:
    """Classifies texts with the live bundle, and records the answers."""

    def __init__(
        self, settings: Settings, deployment: Deployment, metrics: Metrics, prediction_log: PredictionLog | None = None
    ) -> None:
        self.settings = settings
        self.deployment = deployment
        self.metrics = metrics
        self.prediction_log = prediction_log
        self.feedback = FeedbackStore(settings.prediction_log) if settings.prediction_log else None

    async def check_ready(self) -> None:
        """Raise Refusal unless the model answers."""
        if not await self.deployment.ready():
            raise Refusal("Unhealthy", "the model is not ready")

    async def classify(
        self, context: RequestContext, field: str, texts: Sequence[str], cut: Cut, languages: bool = False
    ) -> Classification[Classified]:
        """Classify the texts of a request's `field`, with their `languages` if asked for.

        Raises Refusal with the reason of the first text that fails.
        """
        classification = await self.classify_each(context, field, texts, cut, languages)
        answers = []
        for answer in classification.answers:
            if isinstance(answer, Refusal):
                raise answer
            answers.append(answer)
        return Classification(classification.bundle, answers)

    async def classify_each(
        self, context: RequestContext, field: str, texts: Sequence[str], cut: Cut, languages: bool = False
    ) -> Classification[Classified | Refusal]:
        """Classify the texts of a request's `field`, with their `languages` if asked for.

        A text that fails gets its refusal as answer. Raises Refusal where there are no texts or too many, or the queue has no room for them.
        """
        if not texts:
            raise Refusal("Empty", f"{field} is empty: give at least one text")
        if len(texts) > self.settings.max_batch:
            message = f"{field} has {len(texts)} texts and the limit is {self.settings.max_batch}: send them in several requests"
            raise Refusal("Validation", message)
        names = [field] if len(texts) == 1 else [f"{field}[{index}]" for index in range(len(texts))]
        start = time.perf_counter()
        served = self.deployment.live
        with served.in_use():
            accepted = await self._accepted(names, texts, served.bundle)
            encoded = _filled(accepted, await served.encode(_kept(accepted), cut))
            fitting = [
                _fitting(name, encoding, cut, served.bundle) if isinstance(encoding, Encoding) else encoding
                for name, encoding in zip(names, encoded, strict=True)
            ]
            rows = _kept(fitting)
            read = [text for text, row in zip(accepted, fitting, strict=True) if not isinstance(row, Refusal)]
            context.texts = len(rows)
            context.tokens = sum(len(row.ids) for row in rows)
            context.seconds["tokenization"] = time.perf_counter() - start
            try:
                classification = await served.classify(rows, context.deadline, _kept(read) if languages else None)
            except Overloaded as error:
                raise overloaded(error.retry_after) from None
        answers = [
            answer if isinstance(answer, Classified | Refusal) else _failure(answer)
            for answer in _filled(fitting, classification.answers)
        ]
        answered = [
            Answered(position, text, encoding, answer)
            for position, (text, encoding, answer) in enumerate(zip(accepted, fitting, answers, strict=True))
            if isinstance(text, str) and isinstance(encoding, Encoding) and isinstance(answer, Classified)
        ]
        self._record(context, classification.bundle, answered)
        return Classification(classification.bundle, answers)

    async def _accepted(self, names: Sequence[str], texts: Sequence[str], bundle: Bundle) -> list[str | Refusal]:
        """The texts, normalised as `bundle` was trained, or their refusals."""

        def accepted() -> list[str | Refusal]:
            return [self._accepted_or_refusal(name, text, bundle) for name, text in zip(names, texts, strict=True)]

        return accepted() if sum(map(len, texts)) <= CHARACTERS_AT_ONCE else await asyncio.to_thread(accepted)

    def _accepted_or_refusal(self, name: str, text: str, bundle: Bundle) -> str | Refusal:
        try:
            return self.acceptable(name, text, bundle)
        except Refusal as refusal:
            return refusal

    def acceptable(self, name: str, text: str, bundle: Bundle | None = None) -> str:
        """Return a text, normalised for `bundle` (default: the live one).

        Raises Refusal when it is too long, or empty once normalised.
        """
        limit = self.settings.max_characters
        if len(text) > limit:
            raise Refusal("Validation", f"{name} has {len(text)} characters and the limit is {limit}: shorten it")
        normalized = (bundle or self.deployment.live.bundle).manifest.normalize(text)
        if not normalized:
            raise Refusal(
                "Validation",
                f"{name} is {reprlib.repr(text)}: nothing is left of it once white space and invisible characters are dropped",
            )
        return normalized

    def _record(self, context: RequestContext, bundle: Bundle, answered: Sequence[Answered]) -> None:
        """Count the answers, log them, and pass them to the shadow."""
        if not answered:
            return
        answers = [each.answer for each in answered]
        for answer in answers:
            self.metrics.predictions.labels(answer.label).inc()
            self.metrics.confidence.observe(max(answer.probabilities))
            if answer.truncated:
                self.metrics.truncated.inc()
        context.seconds["queue"] = max(answer.queue_seconds for answer in answers)
        context.seconds["inference"] = max(answer.inference_seconds for answer in answers)
        self.deployment.compare(bundle, answered)
        if self.prediction_log:
            self.prediction_log.add(context.request_id, bundle, answered)


def _of(request: Request) -> Inference:
    inference: Inference = request.app.state.inference
    return inference


CurrentInference = Annotated[Inference, Depends(_of)]
"""The type of a route function's parameter that gets the application's Inference."""


def _fitting(name: str, encoding: Encoding, cut: Cut, bundle: Bundle) -> Encoding | Refusal:
    if cut.allowed or not encoding.overflowing:
        return encoding
    limit = bundle.manifest.max_tokens
    return Refusal(
        "Validation",
        f"{name} has {token_count(encoding)} tokens and the model takes {limit}: shorten it, or allow truncation with truncate",
    )


def _kept(items: Iterable[Old | Refusal]) -> list[Old]:
    return [item for item in items if not isinstance(item, Refusal)]


def _filled(items: Iterable[Old | Refusal], values: Iterable[New]) -> list[New | Refusal]:
    """Replace each item that is no refusal by the next value."""
    rest = iter(values)
    return [item if isinstance(item, Refusal) else next(rest) for item in items]


def _failure(error: Exception) -> Refusal:
    if isinstance(error, WorkerLost):
        return Refusal("Unhealthy", f"{error}: retry", headers={"Retry-After": "1"})
    if isinstance(error, InferenceFailed):
        return Refusal("Backend", f"the model could not answer: {error}")
    if isinstance(error, TimeoutError):
        return Refusal("Timeout", "not answered before the deadline")
    raise error

"""The classification of a request's texts, the same for every wire format."""

import asyncio
import reprlib
import time
from collections.abc import Iterable, Sequence
from typing import Annotated, NamedTuple, TypeVar

from fastapi import Depends, Request
from tokenizers import Encoding

from commentwise.models.explain import Explanation, leave_one_out, rows_without, units_of
from commentwise.models.probabilities import softmax_of_one
from commentwise.serving.http.context import RequestContext
from commentwise.serving.http.refusals import Refusal, overloaded
from commentwise.serving.log.feedback_store import FeedbackStore
from commentwise.serving.log.recorder import PredictionLog
from commentwise.serving.runtime.deployment import Deployment
from commentwise.serving.runtime.metrics import Metrics
from commentwise.serving.runtime.scheduler import Answer, InferenceFailed, Overloaded, WorkerLost
from commentwise.serving.runtime.served import (
    CHARACTERS_AT_ONCE,
    Answered,
    Bundle,
    Classification,
    Classified,
    Cut,
    Served,
    token_count,
)
from commentwise.serving.settings import Settings

Old = TypeVar("Old")
New = TypeVar("New")
EXPLAINED_AT_ONCE = 8
"""Maximum number of comments that one explanation has in the queue."""


class Explained(NamedTuple):
    """An explanation, and the bundle that it is about."""

    bundle: Bundle
    tokens: int
    truncated: bool
    explanation: Explanation


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
            accepted, fitting = await self._encoded(served, names, texts, cut)
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

    async def explain(self, context: RequestContext, text: str, label: str | None, cut: Cut) -> Explained:
        """Explain the probability of a label (default: the predicted one) by leaving out each word of a text.

        The texts without a word go to the workers as all others do, a few at a time, so that other requests wait for
        these few at most. They are neither logged nor counted as predictions. Raises Refusal where the text is refused or
        has more words than a request may have texts, the bundle does not have the label, or an answer fails.
        """
        start = time.perf_counter()
        served = self.deployment.live
        bundle = served.bundle
        if label is not None and label not in bundle.labels:
            raise Refusal("Validation", f"label is {label!r}: it must be one of {', '.join(bundle.labels)}")
        with served.in_use():
            (accepted,), (encoding,) = await self._encoded(served, ["text"], [text], cut)
            if isinstance(accepted, Refusal):
                raise accepted
            if isinstance(encoding, Refusal):
                raise encoding
            units = await asyncio.to_thread(units_of, text, accepted, bundle.manifest.normalize, encoding)
            if len(units) > (limit := self.settings.max_batch):
                raise Refusal("Validation", f"text has {len(units)} words and the limit is {limit}: shorten it")
            rows = [encoding.ids, *rows_without(encoding.ids, units)]
            context.texts = len(rows)
            context.tokens = sum(map(len, rows))
            context.seconds["tokenization"] = time.perf_counter() - start
            answers = [
                answer
                for first in range(0, len(rows), EXPLAINED_AT_ONCE)
                for answer in await self._answers(served, rows[first : first + EXPLAINED_AT_ONCE], context)
            ]
        whole, *without = [softmax_of_one(answer.logits, bundle.manifest.temperature) for answer in answers]
        index = whole.index(max(whole)) if label is None else bundle.labels.index(label)
        explanation = leave_one_out(text, units, bundle.labels[index], whole[index], [row[index] for row in without])
        return Explained(bundle, len(encoding.ids), bool(encoding.overflowing), explanation)

    async def _answers(self, served: Served, rows: list[list[int]], context: RequestContext) -> list[Answer]:
        try:
            answers = await served.answers(rows, context.deadline)
        except Overloaded as error:
            raise overloaded(error.retry_after) from None
        for answer in answers:
            if isinstance(answer, Exception):
                raise _failure(answer)
        return [answer for answer in answers if isinstance(answer, Answer)]

    async def _encoded(
        self, served: Served, names: Sequence[str], texts: Sequence[str], cut: Cut
    ) -> tuple[list[str | Refusal], list[Encoding | Refusal]]:
        """The texts, normalised, and their tokens; a text that is refused has its refusal in both."""
        accepted = await self._accepted(names, texts, served.bundle)
        encoded = _filled(accepted, await served.encode(_kept(accepted), cut))
        return accepted, [
            _fitting(name, encoding, cut, served.bundle) if isinstance(encoding, Encoding) else encoding
            for name, encoding in zip(names, encoded, strict=True)
        ]

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

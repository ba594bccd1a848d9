"""From a request's texts to their answers, whichever format they came in."""

import asyncio
import reprlib
import time
from collections.abc import Iterable, Sequence
from typing import TypeVar

from tokenizers import Encoding

from commentwise.comments.normalize import normalize
from commentwise.serving.http.context import Exchange
from commentwise.serving.http.refusals import Refusal, overloaded
from commentwise.serving.log.recorder import PredictionLog
from commentwise.serving.runtime.deployment import Deployment
from commentwise.serving.runtime.metrics import Metrics
from commentwise.serving.runtime.scheduler import InferenceFailed, Overloaded, WorkerLost
from commentwise.serving.runtime.served import CHARACTERS_AT_ONCE, Classified, Cut, token_count
from commentwise.serving.settings import Settings

Old = TypeVar("Old")
New = TypeVar("New")


class Inference:
    """Answers texts with the bundle that is live."""

    def __init__(
        self, settings: Settings, deployment: Deployment, metrics: Metrics, prediction_log: PredictionLog | None = None
    ) -> None:
        self.settings = settings
        self.deployment = deployment
        self.metrics = metrics
        self.prediction_log = prediction_log

    async def classify(self, exchange: Exchange, field: str, texts: Sequence[str], cut: Cut) -> list[Classified]:
        """Answer the texts of a request's `field`, in order. Raises Refusal with the first text's reason not to."""
        answers = []
        for answer in await self.classify_each(exchange, field, texts, cut):
            if isinstance(answer, Refusal):
                raise answer
            answers.append(answer)
        return answers

    async def classify_each(
        self, exchange: Exchange, field: str, texts: Sequence[str], cut: Cut
    ) -> list[Classified | Refusal]:
        """Answer the texts of a request's `field`, in order, each with its answer or the reason for none.

        Raises Refusal where there are none or too many, or the server has no room for them.
        """
        if not texts:
            raise Refusal("Empty", f"{field} is empty: give at least one text")
        if len(texts) > self.settings.max_batch:
            message = f"{field} has {len(texts)} texts and the limit is {self.settings.max_batch}: send them in several requests"
            raise Refusal("Validation", message)
        names = [field] if len(texts) == 1 else [f"{field}[{index}]" for index in range(len(texts))]
        start = time.perf_counter()
        accepted = await self._accepted(names, texts)
        served = self.deployment.live
        with served.in_use():
            encoded = _filled(accepted, await served.encode(_kept(accepted), cut))
            fitting = [
                self._fitting(name, encoding, cut) if isinstance(encoding, Encoding) else encoding
                for name, encoding in zip(names, encoded, strict=True)
            ]
            rows = _kept(fitting)
            exchange.texts = len(rows)
            exchange.tokens = sum(len(row.ids) for row in rows)
            exchange.seconds["tokenization"] = time.perf_counter() - start
            try:
                answers = _filled(fitting, await served.classify(rows, exchange.deadline))
            except Overloaded as error:
                raise overloaded(error.retry_after) from None
        results = [answer if isinstance(answer, Classified | Refusal) else _failure(answer) for answer in answers]
        pairs = [
            (text, answer)
            for text, answer in zip(accepted, results, strict=True)
            if isinstance(text, str) and isinstance(answer, Classified)
        ]
        self._record(exchange, [answer for _, answer in pairs])
        self.deployment.compare(pairs)
        if self.prediction_log:
            self.prediction_log.add(exchange, served.bundle, accepted, fitting, results)
        return results

    async def _accepted(self, names: Sequence[str], texts: Sequence[str]) -> list[str | Refusal]:
        """The texts, normalised, or why not."""
        pairs = list(zip(names, texts, strict=True))
        if sum(map(len, texts)) <= CHARACTERS_AT_ONCE:
            return [self._judged(*pair) for pair in pairs]
        return await asyncio.to_thread(lambda: [self._judged(*pair) for pair in pairs])

    def _judged(self, name: str, text: str) -> str | Refusal:
        try:
            return self.acceptable(name, text)
        except Refusal as refusal:
            return refusal

    def acceptable(self, name: str, text: str) -> str:
        """A text, normalised. Raises Refusal when it is too long, or nothing is left of it."""
        most = self.settings.max_characters
        if len(text) > most:
            raise Refusal("Validation", f"{name} has {len(text)} characters and the limit is {most}: shorten it")
        normalized = normalize(text)
        if not normalized:
            raise Refusal(
                "Validation",
                f"{name} is {reprlib.repr(text)}: nothing is left of it once white space and invisible characters are dropped",
            )
        return normalized

    def _fitting(self, name: str, encoding: Encoding, cut: Cut) -> Encoding | Refusal:
        if cut.allowed or not encoding.overflowing:
            return encoding
        most = self.deployment.live.bundle.manifest.max_tokens
        return Refusal(
            "Validation",
            f"{name} has {token_count(encoding)} tokens and the model takes {most}: shorten it, or allow it to be cut with truncate",
        )

    def _record(self, exchange: Exchange, answers: Sequence[Classified]) -> None:
        for answer in answers:
            self.metrics.predictions.labels(answer.label).inc()
            self.metrics.confidence.observe(max(answer.probabilities))
            if answer.truncated:
                self.metrics.truncated.inc()
        if answers:
            exchange.seconds["queue"] = max(answer.queue_seconds for answer in answers)
            exchange.seconds["inference"] = max(answer.inference_seconds for answer in answers)


def _kept(items: Iterable[Old | Refusal]) -> list[Old]:
    return [item for item in items if not isinstance(item, Refusal)]


def _filled(items: Iterable[Old | Refusal], values: Iterable[New]) -> list[New | Refusal]:
    """The items with a value in the place of each that is no refusal."""
    rest = iter(values)
    return [item if isinstance(item, Refusal) else next(rest) for item in items]


def _failure(error: Exception) -> Refusal:
    if isinstance(error, WorkerLost):
        return Refusal("Unhealthy", f"{error}: ask again", headers={"Retry-After": "1"})
    if isinstance(error, InferenceFailed):
        return Refusal("Backend", f"the model could not answer: {error}")
    if isinstance(error, TimeoutError):
        return Refusal("Timeout", "not answered before the deadline")
    raise error

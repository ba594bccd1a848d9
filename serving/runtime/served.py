"""A bundle that classifies texts: tokenising, the cache of answers, and waiting for the workers."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, NamedTuple, TypeVar

from tokenizers import Encoding, Tokenizer

from commentwise.comments.language import MAX_READ
from commentwise.models.bundle import TOKENIZER, Manifest, bundle_id, verify_files
from commentwise.models.probabilities import softmax_of_one
from commentwise.models.tokens import load_tokenizer
from commentwise.serving.runtime.metrics import Metrics
from commentwise.serving.runtime.scheduler import Answer, Job, Scheduler

CHARACTERS_AT_ONCE = 5_000
"""Longer requests are tokenised in a thread: they would block the event loop for milliseconds."""

Result = TypeVar("Result")
Key = tuple[int | str, ...]
"""What an answer depends on: the token ids, and the text where its language is asked for."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, without its graphs, which the workers load."""

    folder: Path
    bundle_id: str
    manifest: Manifest
    device: str
    graph: str
    """The name of the graph that runs."""
    tokenizers: dict[str, Tokenizer]
    """By the side on which a long text is truncated: `right` or `left`."""

    @property
    def labels(self) -> list[str]:
        """The labels, in the order of probabilities and logits."""
        return self.manifest.labels

    @classmethod
    def load(cls, folder: Path, device: str, cascade: bool) -> "Bundle":
        """Verify the bundle in `folder`. `device` is `cpu` or `cuda`. Raises CommentwiseError when it is invalid."""
        return cls.verified(folder, verify_files(folder), device, cascade)

    @classmethod
    def verified(cls, folder: Path, manifest: Manifest, device: str, cascade: bool) -> "Bundle":
        """Load a bundle whose files were already verified against `manifest`.

        Raises CommentwiseError when it has no graph for the device.
        """
        graph = manifest.graph_for(device, folder, cascade)
        tokenizers = {side: load_tokenizer(folder / TOKENIZER, manifest.max_tokens) for side in ("right", "left")}
        tokenizers["left"].enable_truncation(manifest.max_tokens, direction="left")
        return cls(folder, bundle_id(folder), manifest, device, graph, tokenizers)


@dataclass(frozen=True)
class Cut:
    """The truncation of texts with more tokens than the model takes."""

    allowed: bool = True
    """False: such texts are refused."""
    side: Literal["right", "left"] = "right"
    """The side that loses tokens."""


@dataclass(frozen=True, slots=True)
class Classified:
    """A text's answer."""

    label: str
    probabilities: list[float]
    """Calibrated, in the order of the bundle's labels."""
    logits: list[float]
    tokens: int
    truncated: bool
    language: str
    """A BCP-47 tag, `und` where the text does not tell; empty where it was not asked for."""
    queue_seconds: float
    inference_seconds: float


@dataclass(frozen=True, slots=True)
class Classification(Generic[Result]):
    """The answers to the texts of a request, and the bundle that gave all of them.

    Labels, id and version in a response come from here: by the time an answer arrives, `Deployment.live` may be another
    bundle.
    """

    bundle: Bundle
    answers: list[Result]
    """In the order of the texts."""

    def by_label(self, values: Sequence[float]) -> dict[str, float]:
        """Return an answer's probabilities or logits by label."""
        return dict(zip(self.bundle.labels, values, strict=True))


class Answered(NamedTuple):
    """A text that was answered, for the prediction log and the shadow."""

    position: int
    """Among the texts of its request, from 0."""
    text: str
    """Normalised."""
    encoding: Encoding
    answer: Classified


class Served:
    """A bundle with its workers."""

    def __init__(self, generation: int, bundle: Bundle, scheduler: Scheduler, cache: int, metrics: Metrics) -> None:
        """`cache`: the maximum number of answers kept."""
        self.generation = generation
        self.bundle = bundle
        self.scheduler = scheduler
        self._cached: OrderedDict[Key, Answer] = OrderedDict()
        self._cache = cache
        self._pending: dict[Key, Job] = {}
        self._metrics = metrics
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the workers running inside the context."""
        self._users += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    async def unused(self) -> None:
        """Wait until no request uses it."""
        await self._unused.wait()

    async def encode(self, texts: Sequence[str], cut: Cut) -> list[Encoding]:
        """Tokenise normalised texts; tokens beyond the model's maximum are in `overflowing`."""
        tokenizer = self.bundle.tokenizers[cut.side]
        if sum(map(len, texts)) <= CHARACTERS_AT_ONCE:
            return [tokenizer.encode(text) for text in texts]
        return list(await asyncio.to_thread(tokenizer.encode_batch, list(texts)))

    async def classify(
        self, encodings: Sequence[Encoding], deadline: float, texts: Sequence[str] | None = None
    ) -> Classification[Classified | Exception]:
        """Classify tokenised texts. A text that fails gets its exception as answer and does not affect the others.

        `deadline` is on the clock of time.monotonic. Answers have a language where `texts` are given. When the caller is
        cancelled, jobs that only it waited for are dropped. Raises Overloaded when the queue has no room for all of them.
        """
        rows = [encoding.ids for encoding in encodings]
        classified: list[Classified | Exception] = [
            answer if isinstance(answer, Exception) else self._classified(encoding, answer)
            for encoding, answer in zip(encodings, await self.answers(rows, deadline, texts), strict=True)
        ]
        return Classification(self.bundle, classified)

    async def answers(
        self, rows: Sequence[list[int]], deadline: float, texts: Sequence[str] | None = None
    ) -> list[Answer | Exception]:
        """The answers to rows of token ids, as `classify` gets them."""
        read = [text[:MAX_READ] for text in texts] if texts else [""] * len(rows)
        keys: list[Key] = [(*row, text) if text else tuple(row) for row, text in zip(rows, read, strict=True)]
        new = sum(key not in self._cached and key not in self._pending for key in set(keys))
        self.scheduler.check_room(new, deadline)
        sources = [self._source(key, row, text, deadline) for key, row, text in zip(keys, rows, read, strict=True)]
        try:
            return [await _answer(source) for source in sources]
        finally:
            for source in sources:
                if isinstance(source, Job):
                    self.scheduler.release(source)

    def _source(self, key: Key, row: list[int], text: str, deadline: float) -> Answer | Job:
        """The cached answer, or the job that computes it."""
        if cached := self._cached.get(key):
            self._cached.move_to_end(key)
            self._metrics.cache_hits.inc()
            return cached
        job = self._pending.get(key)
        if job is not None and job.waiting:
            self._metrics.cache_hits.inc()
            job.deadline = max(job.deadline, deadline)
            job.waiting += 1
            return job
        self._metrics.cache_misses.inc()
        job = Job(row, deadline, text)
        job.waiting = 1
        if self._cache:
            self._pending[key] = job
            job.answer.add_done_callback(lambda _: self._keep(key, job))
        self.scheduler.submit(job)
        return job

    def _keep(self, key: Key, job: Job) -> None:
        if self._pending.get(key) is job:
            del self._pending[key]
        if job.answer.cancelled() or job.answer.exception():
            return
        answer = job.answer.result()
        # A request that gets it from the cache does not wait.
        self._cached[key] = Answer(answer.logits, answer.language, 0.0, 0.0)
        if len(self._cached) > self._cache:
            self._cached.popitem(last=False)

    def _classified(self, encoding: Encoding, answer: Answer) -> Classified:
        probabilities = softmax_of_one(answer.logits, self.bundle.manifest.temperature)
        return Classified(
            self.bundle.labels[probabilities.index(max(probabilities))],
            probabilities,
            answer.logits,
            len(encoding.ids),
            bool(encoding.overflowing),
            answer.language,
            answer.queue_seconds,
            answer.inference_seconds,
        )

    async def responds(self, row: list[int], seconds: float) -> bool:
        """Return whether the model answers a row within `seconds`, ahead of the queue."""
        job = Job(row, time.monotonic() + seconds)
        job.waiting = 1
        self.scheduler.submit(job, first=True)
        try:
            async with asyncio.timeout(seconds):
                return not isinstance(await _answer(job), Exception)
        except TimeoutError:
            return False
        finally:
            self.scheduler.release(job)


def token_count(encoding: Encoding) -> int:
    """Return the number of a text's tokens before truncation."""
    special = sum(encoding.special_tokens_mask)
    return len(encoding.ids) + int(sum(len(part.ids) - special for part in encoding.overflowing))


async def _answer(source: Answer | Job) -> Answer | Exception:
    if isinstance(source, Answer):
        return source
    try:
        return await asyncio.shield(source.answer)  # other requests may wait for it too
    except asyncio.CancelledError:
        raise
    except Exception as error:
        return error

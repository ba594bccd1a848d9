"""A bundle that answers texts: tokenising, looking up what is known already, and waiting for the workers' answers."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tokenizers import Encoding, Tokenizer

from commentwise.models.bundle import TOKENIZER, Manifest, bundle_id, verify_files
from commentwise.models.probabilities import softmax_of_one
from commentwise.models.tokens import load_tokenizer
from commentwise.serving.runtime.metrics import Metrics
from commentwise.serving.runtime.scheduler import Answer, Job, Scheduler

CHARACTERS_AT_ONCE = 5_000
"""Longer requests are tokenised beside the event loop, which would stand still for milliseconds."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, as the HTTP process needs it."""

    folder: Path
    bundle_id: str
    manifest: Manifest
    device: str
    graph: str
    """The name of the graph that runs."""
    tokenizers: dict[str, Tokenizer]
    """By the side on which a long text loses tokens: `right` or `left`."""

    @classmethod
    def load(cls, folder: Path, device: str, cascade: bool) -> "Bundle":
        """Verify the bundle in `folder`. `device` is `cpu` or `cuda`. Raises CommentwiseError when it is unfit."""
        return cls.verified(folder, verify_files(folder), device, cascade)

    @classmethod
    def verified(cls, folder: Path, manifest: Manifest, device: str, cascade: bool) -> "Bundle":
        """Load a bundle whose files were verified against `manifest`, which takes a while for large ones.

        Raises CommentwiseError when it has no graph for the device.
        """
        graph = manifest.graph_for(device, folder, cascade)
        tokenizers = {side: load_tokenizer(folder / TOKENIZER, manifest.max_tokens) for side in ("right", "left")}
        tokenizers["left"].enable_truncation(manifest.max_tokens, direction="left")
        return cls(folder, bundle_id(folder), manifest, device, graph, tokenizers)


@dataclass(frozen=True)
class Cut:
    """What becomes of a text of more tokens than the model takes."""

    allowed: bool = True
    side: Literal["right", "left"] = "right"


@dataclass(frozen=True, slots=True)
class Classified:
    """A text's answer."""

    label: str
    probabilities: list[float]
    """Calibrated, in the order of the bundle's labels."""
    logits: list[float]
    tokens: int
    truncated: bool
    queue_seconds: float
    inference_seconds: float


class Served:
    """A bundle with its workers."""

    def __init__(self, generation: int, bundle: Bundle, scheduler: Scheduler, cache: int, metrics: Metrics) -> None:
        """`cache`: how many answers are kept."""
        self.generation = generation
        self.bundle = bundle
        self.scheduler = scheduler
        self._known: OrderedDict[tuple[int, ...], Answer] = OrderedDict()
        self._cache = cache
        self._coming: dict[tuple[int, ...], Job] = {}
        self._metrics = metrics
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Inside, the workers are needed."""
        self._users += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    async def unused(self) -> None:
        """Wait until nobody uses it."""
        await self._unused.wait()

    async def encode(self, texts: Sequence[str], cut: Cut) -> list[Encoding]:
        """Tokenise normalised texts; what is beyond the model's longest stands in `overflowing`."""
        tokenizer = self.bundle.tokenizers[cut.side]
        if sum(map(len, texts)) <= CHARACTERS_AT_ONCE:
            return [tokenizer.encode(text) for text in texts]
        return list(await asyncio.to_thread(tokenizer.encode_batch, list(texts)))

    async def classify(self, encodings: Sequence[Encoding], deadline: float) -> list[Classified | Exception]:
        """Answer tokenised texts, in order; one that cannot be answered is its exception and leaves the others alone.

        `deadline` is on the clock of time.monotonic. When the caller is cancelled, what only it waited for is dropped.
        Raises Overloaded when there is no room in the queue for all of them.
        """
        rows = [encoding.ids for encoding in encodings]
        keys = [tuple(row) for row in rows]
        new = sum(key not in self._known and key not in self._coming for key in set(keys))
        self.scheduler.check_room(new, deadline)
        sources = [self._source(key, row, deadline) for key, row in zip(keys, rows, strict=True)]
        try:
            answers = [await _answer(source) for source in sources]
        finally:
            for source in sources:
                if isinstance(source, Job):
                    self.scheduler.release(source)
        return [
            answer if isinstance(answer, Exception) else self._classified(encoding, answer)
            for encoding, answer in zip(encodings, answers, strict=True)
        ]

    def _source(self, key: tuple[int, ...], row: list[int], deadline: float) -> Answer | Job:
        """The answer if it is known, or the job that will have it."""
        if known := self._known.get(key):
            self._known.move_to_end(key)
            self._metrics.cache_hits.inc()
            return known
        job = self._coming.get(key)
        if job is not None and job.waiting:
            self._metrics.cache_hits.inc()
            job.deadline = max(job.deadline, deadline)
            job.waiting += 1
            return job
        self._metrics.cache_misses.inc()
        job = Job(row, deadline)
        job.waiting = 1
        if self._cache:
            self._coming[key] = job
            job.answer.add_done_callback(lambda done: self._keep(key, job))
        self.scheduler.submit(job)
        return job

    def _keep(self, key: tuple[int, ...], job: Job) -> None:
        if self._coming.get(key) is job:
            del self._coming[key]
        if job.answer.cancelled() or job.answer.exception():
            return
        answer = job.answer.result()
        self._known[key] = Answer(answer.logits, 0.0, 0.0)  # nobody who gets it from here has waited for it
        if len(self._known) > self._cache:
            self._known.popitem(last=False)

    def _classified(self, encoding: Encoding, answer: Answer) -> Classified:
        manifest = self.bundle.manifest
        probabilities = softmax_of_one(answer.logits, manifest.temperature)
        return Classified(
            manifest.labels[probabilities.index(max(probabilities))],
            probabilities,
            answer.logits,
            len(encoding.ids),
            bool(encoding.overflowing),
            answer.queue_seconds,
            answer.inference_seconds,
        )

    async def answers(self, row: list[int], seconds: float) -> bool:
        """Whether the model answers a row within so many seconds, past all that waits."""
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
    """A text's tokens, those that were cut included."""
    special = sum(encoding.special_tokens_mask)
    return len(encoding.ids) + int(sum(len(part.ids) - special for part in encoding.overflowing))


async def _answer(source: Answer | Job) -> Answer | Exception:
    if isinstance(source, Answer):
        return source
    try:
        return await asyncio.shield(source.answer)  # others may wait for it too
    except asyncio.CancelledError:
        raise
    except Exception as error:
        return error

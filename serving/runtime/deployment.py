"""Which bundle answers: loading one, swapping it for a newer one without losing a request, and a shadow beside it.

A new bundle gets workers of its own. Only when all of them have loaded it, verified its files, reproduced its golden
texts and warmed up, new requests go to it; the old one's workers end when the last request that uses them has its
answer. Whatever goes wrong before leaves the old bundle as it was.
"""

import asyncio
import itertools
import shutil
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from commentwise.errors import CommentwiseError
from commentwise.models.bundle import bundle_id
from commentwise.models.tokens import encode
from commentwise.serving.events import log
from commentwise.serving.runtime.bundle_source import resolve
from commentwise.serving.runtime.channel import Link
from commentwise.serving.runtime.metrics import Metrics
from commentwise.serving.runtime.plan import Plan
from commentwise.serving.runtime.scheduler import Overloaded, Scheduler
from commentwise.serving.runtime.served import Bundle, Classified, Cut, Served
from commentwise.serving.settings import Settings

LOAD_SECONDS = 300
PROBE_SECONDS = 2.0
FRESH_SECONDS = 5.0
"""An answer this recent proves that the model works."""
PROBE_TEXT = "is this thing on?"


class Deployment:
    """The bundles that are loaded."""

    def __init__(self, settings: Settings, plan: Plan, bundle: Bundle, store: Path) -> None:
        """`bundle` is the first, whose workers the supervisor has started; `store` holds what registries give."""
        self._settings = settings
        self._plan = plan
        self._store = store
        self.metrics = Metrics(
            lambda: len(self.live.scheduler.waiting) if self._by_generation else 0,
            lambda: len(self.live.scheduler.workers) if self._by_generation else 0,
        )
        self._first = bundle
        self._by_generation: dict[int, Served] = {}
        self._by_link: dict[Link, Served] = {}
        self._generations = itertools.count(2)
        self._loads: dict[int, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loading = asyncio.Lock()
        self._refused = ""
        self.shadow: Served | None = None
        self.draining = False

    async def start(self, listener: socket.socket, control: socket.socket, stop: Callable[[], None]) -> None:
        """Begin in the event loop: workers connect to `listener`, the supervisor's messages come over `control`.

        `stop` is called when the server is to end.
        """
        loop = asyncio.get_running_loop()
        self._stop = stop
        self.live = self._take_in(1, self._first, self.metrics)
        self._show_live()
        self._server = await loop.create_unix_server(lambda: Link(self._received, self._lost), sock=listener)
        _, self._control = await loop.create_connection(lambda: Link(self._told, self._abandoned), sock=control)
        if self._settings.shadow:
            self._keep(loop.create_task(self._start_shadow()))
        if self._settings.poll:
            self._keep(loop.create_task(self._poll()))

    async def close(self) -> None:
        """End all workers."""
        for task in self._tasks:
            task.cancel()
        for served in self._by_generation.values():
            served.scheduler.close()
        self._server.close()

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Readiness

    async def ready(self) -> bool:
        """Whether requests are answered: workers are there, and the model has answered lately or does so now."""
        served = self.live
        if self.draining or not served.scheduler.workers:
            return False
        if time.monotonic() - served.scheduler.last_answer < FRESH_SECONDS:
            return True
        (row,) = encode(served.bundle.tokenizers["right"], [PROBE_TEXT])
        return await served.answers(row, PROBE_SECONDS)

    # Loading and swapping

    async def reload(self) -> bool:
        """Load what --model names now and swap it in; False when that is what runs.

        Raises CommentwiseError with the reason when it cannot be loaded; the bundle that ran goes on.
        """
        async with self._loading:
            try:
                folder = await asyncio.to_thread(resolve, self._settings.model, self._store)
                if await asyncio.to_thread(_id, folder) == self.live.bundle.bundle_id:
                    return False
                new = await self._load(folder, self.metrics)
            except CommentwiseError as error:
                self.metrics.swaps.labels("failed").inc()
                if str(error) != self._refused:  # polling would say it again and again
                    log("bundle refused", "error", reason=str(error), still=self.live.bundle.bundle_id[:12])
                self._refused = str(error)
                raise
            self._refused = ""
            old, self.live = self.live, new
            self._show_live()
            self.metrics.swaps.labels("loaded").inc()
            log("bundle swapped", bundle=new.bundle.bundle_id[:12], before=old.bundle.bundle_id[:12])
            self._keep(asyncio.create_task(self._retire(old)))
            return True

    async def _load(self, folder: Path, metrics: Metrics) -> Served:
        """A bundle with all its workers ready. Raises CommentwiseError and leaves nothing when that fails."""
        bundle = await asyncio.to_thread(Bundle.load, folder, self._plan.device, self._plan.cascade)
        served = self._take_in(next(self._generations), bundle, metrics)
        loaded = self._loads[served.generation] = asyncio.get_running_loop().create_future()
        self._control.send(("start", served.generation, folder, bundle.bundle_id))
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                await loaded
        except TimeoutError:
            self._remove(served)
            raise CommentwiseError(f"the workers did not load {folder} within {LOAD_SECONDS} seconds") from None
        except BaseException:
            self._remove(served)
            raise
        finally:
            del self._loads[served.generation]
        return served

    async def _retire(self, old: Served) -> None:
        await old.unused()
        self._remove(old)
        async with self._loading:  # what is being fetched stays
            await asyncio.to_thread(
                _keep_only, self._store, [served.bundle.folder for served in self._by_generation.values()]
            )

    def _take_in(self, generation: int, bundle: Bundle, metrics: Metrics) -> Served:
        settings = self._settings
        plan = self._plan
        scheduler = Scheduler(plan.room, plan.threads, settings.max_queue, plan.batch_tokens, metrics)
        served = Served(generation, bundle, scheduler, self._settings.cache, metrics)
        self._by_generation[generation] = served
        return served

    def _remove(self, served: Served) -> None:
        self._control.send(("retire", served.generation))
        served.scheduler.close()
        del self._by_generation[served.generation]

    def _show_live(self) -> None:
        bundle = self.live.bundle
        self.metrics.bundle.clear()
        self.metrics.bundle.labels(bundle.bundle_id, bundle.manifest.family, bundle.graph, bundle.device).set(1)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._settings.poll)
            with suppress(CommentwiseError):  # logged; what is being copied there may be whole the next time
                await self.reload()

    # The shadow

    async def _start_shadow(self) -> None:
        try:
            async with self._loading:
                folder = await asyncio.to_thread(resolve, self._settings.shadow, self._store)
                shadow = await self._load(folder, Metrics(lambda: 0, lambda: 0))  # its figures are not the server's
            if shadow.bundle.manifest.labels != self.live.bundle.manifest.labels:
                self._remove(shadow)
                raise CommentwiseError(f"the shadow {folder} has other labels: {shadow.bundle.manifest.labels}")
            self.shadow = shadow
            log("shadow loaded", bundle=shadow.bundle.bundle_id[:12])
        except CommentwiseError as error:
            log("shadow refused", "error", reason=str(error))

    def compare(self, pairs: Sequence[tuple[str, Classified]]) -> None:
        """Have the shadow answer its share of these texts too, and count how often it agrees. Nobody waits for it."""
        if self.shadow is None:
            return
        share = self._settings.shadow_share * sys.hash_info.modulus
        if chosen := [pair for pair in pairs if hash(pair[0]) % sys.hash_info.modulus < share]:
            self._keep(asyncio.create_task(self._compare(self.shadow, chosen)))

    async def _compare(self, shadow: Served, pairs: Sequence[tuple[str, Classified]]) -> None:
        encodings = await shadow.encode([text for text, _ in pairs], Cut())
        try:
            answers = await shadow.classify(encodings, time.monotonic() + self._settings.timeout)
        except Overloaded:
            return
        for (_, ours), theirs in zip(pairs, answers, strict=True):
            if isinstance(theirs, Classified):
                self.metrics.shadow.labels(str(ours.label == theirs.label).lower()).inc()

    # What arrives

    def _received(self, link: Link, message: Any) -> None:
        if served := self._by_link.get(link):
            served.scheduler.take(link, message)
            return
        generation, process = message
        if (served := self._by_generation.get(generation)) is None:
            link.close()  # its bundle was given up meanwhile
            return
        self._by_link[link] = served
        served.scheduler.add(link, process)
        loaded = self._loads.get(generation)
        if loaded and not loaded.done() and len(served.scheduler.workers) == self._plan.worker_count:
            loaded.set_result(None)

    def _lost(self, link: Link) -> None:
        if served := self._by_link.pop(link, None):
            if served.generation in self._by_generation and not self.draining:
                self.metrics.lost_workers.inc()
            served.scheduler.remove(link)

    def _told(self, _: Link, message: Any) -> None:
        if message[0] == "failed":
            _, generation, reason = message
            if (loaded := self._loads.get(generation)) and not loaded.done():
                loaded.set_exception(CommentwiseError(reason))
        else:
            self._keep(asyncio.create_task(self._end()))

    def _abandoned(self, _: Link) -> None:
        """The supervisor is gone."""
        self._stop()

    async def _end(self) -> None:
        self.draining = True
        await asyncio.sleep(self._settings.drain_delay)
        self._stop()


def _keep_only(store: Path, used: Sequence[Path]) -> None:
    """Delete what registries gave that no bundle is loaded from: a server that follows one would fill its disk."""
    for folder in store.iterdir():
        if folder.is_dir() and folder not in used:
            shutil.rmtree(folder, ignore_errors=True)


def _id(folder: Path) -> str:
    try:
        return bundle_id(folder)
    except FileNotFoundError:
        raise CommentwiseError(f"no bundle at {folder}") from None

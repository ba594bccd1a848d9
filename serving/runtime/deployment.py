"""The bundles that are loaded: the live one, its replacement without losing a request, and a shadow.

A new bundle gets workers of its own. Only when all of them have loaded it, verified its files, reproduced its golden
texts and warmed up, new requests go to it; the old workers end after the last request that uses them. Any failure
before that leaves the old bundle live.
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
from commentwise.serving.runtime.messages import (
    Done,
    Joined,
    LoadFailed,
    Message,
    RetireWorkers,
    StartWorkers,
    Stop,
)
from commentwise.serving.runtime.metrics import Metrics
from commentwise.serving.runtime.plan import Plan
from commentwise.serving.runtime.scheduler import Overloaded, Scheduler
from commentwise.serving.runtime.served import Answered, Bundle, Classified, Cut, Served
from commentwise.serving.settings import Settings

LOAD_SECONDS = 300
PROBE_SECONDS = 2.0
FRESH_SECONDS = 5.0
"""An answer this recent proves that the model works."""
PROBE_TEXT = "is this thing on?"
FIRST_GENERATION = 1


class Deployment:
    """The bundles that are loaded, and their workers."""

    def __init__(self, settings: Settings, plan: Plan, bundle: Bundle, store: Path) -> None:
        """`bundle` is the first, whose workers the supervisor has started; registries are downloaded into `store`."""
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
        self._generations = itertools.count(FIRST_GENERATION + 1)
        self._loads: dict[int, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loading = asyncio.Lock()
        self._refused = ""
        self.shadow: Served | None = None
        self.draining = False

    async def start(self, listener: socket.socket, control: socket.socket, stop: Callable[[], None]) -> None:
        """Start in the event loop: workers connect to `listener`, the supervisor's messages come over `control`.

        `stop` is called when the server is to shut down.
        """
        loop = asyncio.get_running_loop()
        self._stop = stop
        self.live = self._create(FIRST_GENERATION, self._first, self.metrics)
        self._show_live()
        self._server = await loop.create_unix_server(lambda: Link(self._from_worker, self._lost), sock=listener)
        _, self._control = await loop.create_connection(
            lambda: Link(self._from_supervisor, self._supervisor_lost), sock=control
        )
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
        """Hold a reference to a background task, of which asyncio keeps only a weak one."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Readiness

    async def ready(self) -> bool:
        """Return whether requests are answered: there are workers, and the model has answered recently or does so now."""
        served = self.live
        if self.draining or not served.scheduler.workers:
            return False
        if time.monotonic() - served.scheduler.last_answer < FRESH_SECONDS:
            return True
        (row,) = encode(served.bundle.tokenizers["right"], [PROBE_TEXT])
        return await served.responds(row, PROBE_SECONDS)

    # Loading and swapping

    async def reload(self) -> bool:
        """Load the bundle that --model names now and make it live; return False where it already is.

        Raises CommentwiseError with the reason when the bundle is refused or cannot be loaded; the live one stays.
        """
        async with self._loading:
            try:
                folder = await asyncio.to_thread(resolve, self._settings.model, self._store)
                if await asyncio.to_thread(_id, folder) == self.live.bundle.bundle_id:
                    return False
                bundle = await self._verified(folder)
                self._check_labels(bundle)
                new = await self._load(bundle, self.metrics)
            except CommentwiseError as error:
                self.metrics.swaps.labels("failed").inc()
                if str(error) != self._refused:  # polling would log it again and again
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

    def _check_labels(self, new: Bundle) -> None:
        """Raise CommentwiseError where clients would meet other labels, or the same in another order."""
        current = self.live.bundle.labels
        if new.labels != current and not self._settings.allow_label_change:
            raise CommentwiseError(
                f"the bundle {new.folder} has the labels {', '.join(new.labels)} and the running one has {', '.join(current)}:"
                " start the server with --allow-label-change to swap anyway"
            )

    async def _verified(self, folder: Path) -> Bundle:
        return await asyncio.to_thread(Bundle.load, folder, self._plan.device, self._plan.cascade)

    async def _load(self, bundle: Bundle, metrics: Metrics) -> Served:
        """Start a bundle's workers and wait until all are ready. Raises CommentwiseError, and cleans up, on failure."""
        served = self._create(next(self._generations), bundle, metrics)
        loaded = self._loads[served.generation] = asyncio.get_running_loop().create_future()
        self._control.send(StartWorkers(served.generation, str(bundle.folder), bundle.bundle_id))
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                await loaded
        except TimeoutError:
            self._remove(served)
            raise CommentwiseError(f"the workers did not load {bundle.folder} within {LOAD_SECONDS} seconds") from None
        except BaseException:
            self._remove(served)
            raise
        finally:
            del self._loads[served.generation]
        return served

    async def _retire(self, old: Served) -> None:
        await old.unused()
        self._remove(old)
        async with self._loading:  # so that a bundle being downloaded stays
            await asyncio.to_thread(
                _keep_only, self._store, [served.bundle.folder for served in self._by_generation.values()]
            )

    def _create(self, generation: int, bundle: Bundle, metrics: Metrics) -> Served:
        settings = self._settings
        plan = self._plan
        scheduler = Scheduler(plan.room, plan.threads, settings.max_queue, plan.batch_tokens, metrics)
        served = Served(generation, bundle, scheduler, settings.cache, metrics)
        self._by_generation[generation] = served
        return served

    def _remove(self, served: Served) -> None:
        self._control.send(RetireWorkers(served.generation))
        served.scheduler.close()
        del self._by_generation[served.generation]

    def _show_live(self) -> None:
        bundle = self.live.bundle
        self.metrics.bundle.clear()
        self.metrics.bundle.labels(bundle.bundle_id, bundle.manifest.family, bundle.graph, bundle.device).set(1)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._settings.poll)
            with suppress(CommentwiseError):  # logged; a bundle that is still being copied may be complete next time
                await self.reload()

    # The shadow

    async def _start_shadow(self) -> None:
        try:
            async with self._loading:
                folder = await asyncio.to_thread(resolve, self._settings.shadow, self._store)
                bundle = await self._verified(folder)
                if bundle.labels != self.live.bundle.labels:
                    raise CommentwiseError(f"the shadow {folder} has other labels: {', '.join(bundle.labels)}")
                # Its metrics are not the server's.
                self.shadow = await self._load(bundle, Metrics(lambda: 0, lambda: 0))
            log("shadow loaded", bundle=bundle.bundle_id[:12])
        except CommentwiseError as error:
            log("shadow refused", "error", reason=str(error))

    def compare(self, bundle: Bundle, answered: Sequence[Answered]) -> None:
        """Have the shadow classify its share of the texts that `bundle` answered, in the background; count agreements."""
        if self.shadow is None or self.shadow.bundle.labels != bundle.labels:
            return
        share = self._settings.shadow_share * sys.hash_info.modulus
        if chosen := [each for each in answered if hash(each.text) % sys.hash_info.modulus < share]:
            self._keep(asyncio.create_task(self._compare(self.shadow, chosen)))

    async def _compare(self, shadow: Served, answered: Sequence[Answered]) -> None:
        encodings = await shadow.encode([each.text for each in answered], Cut())
        try:
            theirs = await shadow.classify(encodings, time.monotonic() + self._settings.timeout)
        except Overloaded:
            return
        for ours, answer in zip(answered, theirs.answers, strict=True):
            if isinstance(answer, Classified):
                self.metrics.shadow.labels(str(ours.answer.label == answer.label).lower()).inc()

    # Messages

    def _from_worker(self, link: Link, message: Message) -> None:
        if isinstance(message, Done):
            if served := self._by_link.get(link):
                served.scheduler.finish(link, message)
        elif isinstance(message, Joined):
            self._join(link, message)

    def _join(self, link: Link, joined: Joined) -> None:
        if (served := self._by_generation.get(joined.generation)) is None:
            link.close()  # its bundle was retired meanwhile
            return
        self._by_link[link] = served
        served.scheduler.add(link, joined.process)
        loaded = self._loads.get(joined.generation)
        if loaded and not loaded.done() and len(served.scheduler.workers) == self._plan.worker_count:
            loaded.set_result(None)

    def _lost(self, link: Link) -> None:
        if served := self._by_link.pop(link, None):
            if served.generation in self._by_generation and not self.draining:
                self.metrics.lost_workers.inc()
            served.scheduler.remove(link)

    def _from_supervisor(self, _: Link, message: Message) -> None:
        if isinstance(message, LoadFailed):
            if (loaded := self._loads.get(message.generation)) and not loaded.done():
                loaded.set_exception(CommentwiseError(message.reason))
        elif isinstance(message, Stop):
            self._keep(asyncio.create_task(self._drain()))

    def _supervisor_lost(self, _: Link) -> None:
        self._stop()

    async def _drain(self) -> None:
        self.draining = True
        await asyncio.sleep(self._settings.drain_delay)
        self._stop()


def _keep_only(store: Path, used: Sequence[Path]) -> None:
    """Delete downloaded bundles that are not loaded, which would fill the disk of a server that follows a registry."""
    for folder in store.iterdir():
        if folder.is_dir() and folder not in used:
            shutil.rmtree(folder, ignore_errors=True)


def _id(folder: Path) -> str:
    try:
        return bundle_id(folder)
    except FileNotFoundError:
        raise CommentwiseError(f"no bundle at {folder}") from None

"""LitServe's part: the processes, the queue between them, and how they start and end.

LitServe runs one HTTP process and one inference worker, and stops neither on SIGTERM. What this module overrides of
it is held by the tests and by the pinned version.
"""

import multiprocessing
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any, cast

import litserve
from litserve.server import RegularRequestHandler
from litserve.utils import WorkerSetupStatus

from models.bundle import Classifier, Manifest, Prediction, bundle_id, verify_files
from models.engine import available_device
from models.errors import CommentwiseError
from serving.routes import add_routes
from serving.settings import Settings

DRAIN_SECONDS = 10
"""How long requests may take to finish after the server was told to stop."""

_AFTER_DEATH = "start the server again; if that repeats without a reason above, see whether memory runs out"


def serve(settings: Settings) -> None:
    """Serve the bundle until SIGTERM or Ctrl-C, then let running requests finish and exit with 0.

    Raises CommentwiseError when the bundle is unfit, the device or the port is not available, or a process dies.
    """
    device = resolve_device(settings.device, verify_files(settings.model))
    check_port(settings.host, settings.port)
    server = BundleServer(settings, device)
    add_routes(server.app, server, settings)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        server.run(
            host=settings.host,
            port=settings.port,
            num_api_servers=1,
            log_level="error",
            generate_client_file=False,
        )
    except KeyboardInterrupt:
        pass  # told to stop while still starting
    except (EOFError, ConnectionError):
        raise CommentwiseError(f"the process that holds the queues died: {_AFTER_DEATH}") from None
    finally:
        _end_children()
    server.check_processes()


def resolve_device(device: str, manifest: Manifest) -> str:
    """Resolve `auto` to the device that both this machine and the bundle offer."""
    if device != "auto":
        return device
    available = available_device()
    return available if available in manifest.devices else "cpu"


def check_port(host: str, port: int) -> None:
    """Raise CommentwiseError when nothing can listen there."""
    with socket.socket(_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: a closed one lingers a while
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommentwiseError(
                f"cannot listen on {host} port {port} ({error.strerror}): choose another --port, or stop what holds this one"
            ) from None


class BundleAPI(litserve.LitAPI):  # type: ignore[misc]  # LitServe has no types
    """The inference worker: it holds the classifier and answers one request's texts at a time."""

    def __init__(self, folder: Path, threads: int, report: Connection) -> None:
        super().__init__()
        self._folder = folder
        self._threads = threads
        self._report = report

    def setup(self, device: str) -> None:
        """Load the bundle, and report what was loaded or why not."""
        kind, _, _ = device.partition(":")
        try:
            self._classifier = Classifier(self._folder, kind, self._threads or None)
        except CommentwiseError as error:
            self._report.send(error)
            sys.exit(1)
        self._report.send(_info(self._classifier, kind))

    def predict(self, texts: list[str]) -> list[Prediction]:
        """Classify texts, in order."""
        return self._classifier.predict(texts)


def _info(classifier: Classifier, device: str) -> dict[str, Any]:
    manifest = classifier.manifest
    return {
        "family": manifest.family,
        "checkpoint": manifest.checkpoint,
        "labels": manifest.labels,
        "max_tokens": manifest.max_tokens,
        "device": device,
        "graph": classifier.graph,
        "precision": manifest.files[classifier.graph]["precision"],
        "bundle_id": bundle_id(classifier.folder),
        "version": _version(),
        "metrics": manifest.metrics.get("test", {}),
    }


def _version() -> str:
    try:
        return version("commentwise")
    except PackageNotFoundError:
        return "checkout"


class BundleServer(litserve.LitServer):  # type: ignore[misc]
    """LitServe with our routes, which ask one inference worker, and with an eye on its processes."""

    def __init__(self, settings: Settings, device: str) -> None:
        self._loaded, report = multiprocessing.Pipe(duplex=False)
        self.url = f"http://{f'[{settings.host}]' if ':' in settings.host else settings.host}:{settings.port}"
        self._address = (settings.host, settings.port)
        self._processes: list[BaseProcess] = []
        api = BundleAPI(settings.model, settings.threads, report)
        super().__init__(api, accelerator=device, devices=1, max_payload_size=settings.max_body)
        self.uvicorn_graceful_timeout = DRAIN_SECONDS
        self._handler = RegularRequestHandler(api, self)

    def register_endpoints(self) -> None:
        """Leave LitServe's own routes out."""

    def ready(self) -> bool:
        """Whether the worker has loaded the bundle."""
        states = self.workers_setup_status.values()
        return bool(states) and all(state == WorkerSetupStatus.READY for state in states)

    def info(self) -> dict[str, Any]:
        """Facts about the bundle, as the worker reported them."""
        return self._info

    async def classify(self, texts: list[str]) -> list[Prediction]:
        """Have the worker answer texts. Raises HTTPException 504 when they waited too long, 500 when it fails."""
        return cast(list[Prediction], await self._handler.handle_request(texts, list))

    def _init_manager(self, num_api_servers: int) -> object:
        """Start the process of the queues deaf to signals: it ends when the others have ended."""
        with _blocked(signal.SIGINT, signal.SIGTERM):
            return super()._init_manager(num_api_servers)

    def launch_inference_worker(self, lit_api: BundleAPI) -> list[BaseProcess]:
        """Start the worker deaf to Ctrl-C, which reaches it too and must not cost the running requests."""
        resource_tracker.ensure_running()  # else it starts along with the worker, and unblocks the signals as it does
        with _blocked(signal.SIGINT):
            return cast(list[BaseProcess], super().launch_inference_worker(lit_api))

    def verify_worker_status(self) -> None:
        """Wait for the worker's report. LitServe's own method waits for ever when the worker dies while loading.

        Raises CommentwiseError when the bundle cannot be loaded.
        """
        (worker,) = self.inference_workers
        wait([self._loaded, worker.sentinel])
        if not self._loaded.poll():
            worker.join()
            raise CommentwiseError(
                f"the inference worker died while loading the bundle (exit code {worker.exitcode}): {_AFTER_DEATH}"
            )
        report = self._loaded.recv()
        if isinstance(report, CommentwiseError):
            raise report
        self._info: dict[str, Any] = report

    def _start_worker_monitoring(self, manager: object, uvicorn_workers: dict[int, BaseProcess]) -> None:
        """Watch all processes, where LitServe's own method looks at the worker alone, and say that the server is up."""
        self._processes = multiprocessing.active_children()
        threading.Thread(target=self._watch, daemon=True).start()
        while not _listens(self._address):
            if not uvicorn_workers[0].is_alive():
                return
            time.sleep(0.01)
        print(f"serving bundle {self._info['bundle_id'][:12]} on {self._info['device']} at {self.url}", flush=True)

    def _watch(self) -> None:
        wait([process.sentinel for process in self._processes])
        with suppress(EOFError, OSError):  # the event lives in one of those processes; without it, `run` ends too
            self._shutdown_event.set()

    def check_processes(self) -> None:
        """Raise CommentwiseError when a process ended in another way than by being told to."""
        for process in self._processes:
            if process.exitcode not in (0, -signal.SIGTERM):
                raise CommentwiseError(
                    f"the process {process.name} died (exit code {process.exitcode}): {_AFTER_DEATH}"
                )


def _stop(_: int, __: FrameType | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a second signal must not cut the ending short
    if multiprocessing.parent_process() is None:
        raise KeyboardInterrupt  # what LitServe ends on in good order
    sys.exit(0)


@contextmanager
def _blocked(*numbers: signal.Signals) -> Iterator[None]:
    """Put signals off; a process started meanwhile puts them off for good."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_children() -> None:
    """End what LitServe leaves behind when it is stopped while starting; after a proper end there is nothing."""
    for child in multiprocessing.active_children():
        child.kill()
        child.join()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _listens(address: tuple[str, int]) -> bool:
    with socket.socket(_family(address[0])) as probe:
        return probe.connect_ex(address) == 0

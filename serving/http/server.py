"""LitServe's part: its application, its HTTP process, its workers, and how they start and end.

What this module overrides of LitServe is held by the tests and by the pinned version: its queues (see channel.py), its
routes, its monitoring (see supervisor.py) and its end, which would leave processes and lose requests.
"""

import asyncio
import gc
import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import litserve
from fastapi import FastAPI
from litserve.loops import inference_worker
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from commentwise.errors import CommentwiseError
from commentwise.models.bundle import verify_files
from commentwise.serving.events import log, set_level
from commentwise.serving.http.fast_path import Direct
from commentwise.serving.http.head_timeout import PatientProtocol
from commentwise.serving.http.inference import Inference
from commentwise.serving.http.middleware import Traffic
from commentwise.serving.http.routes import add_routes
from commentwise.serving.http.tracing import start_tracing
from commentwise.serving.log.recorder import PredictionLog, check
from commentwise.serving.runtime.bundle_source import resolve
from commentwise.serving.runtime.deployment import Deployment
from commentwise.serving.runtime.plan import Plan, make_plan
from commentwise.serving.runtime.served import Bundle
from commentwise.serving.runtime.supervisor import Order, Supervisor
from commentwise.serving.runtime.worker import Assignment, BundleAPI
from commentwise.serving.settings import Settings

FREQUENT = ("/", "/predict", "/analyze")
KEEP_ALIVE_SECONDS = 75
"""Longer than the idle time of common load balancers, so that they close first and no request meets a closed door."""
GRACE_SECONDS = 5
BEHIND_INFERENCE = 5
"""Niceness of the HTTP process. At the workers' own priority each message would push a comment off its core, and out of
its caches; behind them it takes several messages at a time, for a fifth less of the processor."""


def serve(settings: Settings) -> None:
    """Serve the bundle until SIGTERM or Ctrl-C, then let running requests finish and exit with 0.

    Raises CommentwiseError when the bundle is unfit, the device or the port is not available, or the HTTP process dies.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the cores are the workers'
    set_level(settings.log_level)
    store = Path(tempfile.mkdtemp(prefix="commentwise-"))
    try:
        _serve(settings, store)
    finally:
        _end_children()
        shutil.rmtree(store, ignore_errors=True)


def _serve(settings: Settings, store: Path) -> None:
    folder = resolve(settings.model, store)
    bundle, plan = load_bundle(folder, settings)
    check_port(settings.host, settings.port)
    if settings.prediction_log:
        check(settings.prediction_log)
    server = BundleServer(settings, plan, bundle, store)
    server.run(
        host=settings.host,
        port=settings.port,
        num_api_servers=1,
        log_level="error",
        generate_client_file=False,
        http=PatientProtocol,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    if server.failure:
        raise CommentwiseError(server.failure)


def load_bundle(folder: Path, settings: Settings) -> tuple[Bundle, Plan]:
    """The verified bundle in `folder`, and how this machine runs it. Raises CommentwiseError when it is unfit."""
    manifest = verify_files(folder)
    plan = make_plan(settings, manifest)
    return Bundle.verified(folder, manifest, plan.device, plan.cascade), plan


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


class BundleServer(litserve.LitServer):  # type: ignore[misc]  # LitServe has no types
    """LitServe with our routes, our way to the workers, and an eye on its processes."""

    def __init__(self, settings: Settings, plan: Plan, bundle: Bundle, store: Path) -> None:
        self._settings = settings
        self._plan = plan
        self._socket = store / "workers"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._socket))
        self._listener.listen()
        self._control, self._control_of_http = multiprocessing.Pipe()
        self._supervisor = Supervisor(plan.worker_count, self._launch)
        self._order = Order(1, bundle.folder, bundle.bundle_id)
        self.failure = ""
        scheme = "https" if settings.tls_cert else "http"
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.url = f"{scheme}://{host}:{settings.port}"
        self.deployment = Deployment(settings, plan, bundle, store)
        api = BundleAPI(self._assignment(self._order), self._control)
        super().__init__(api, accelerator=plan.device, devices=max(1, plan.gpus), workers_per_device=plan.workers)
        self.uvicorn_graceful_timeout = int(settings.drain_timeout)
        metrics = self.deployment.metrics
        url = settings.prediction_log
        self._prediction_log = PredictionLog(url, settings.log_text, metrics) if url else None
        add_routes(self.app, Inference(settings, self.deployment, metrics, self._prediction_log), settings)
        self._surround()

    def register_endpoints(self) -> None:
        """Leave LitServe's own routes out."""

    def _register_middleware(self) -> None:
        """Leave LitServe's middlewares out: what compression saves on answers this short is less than it costs."""

    def _surround(self) -> None:
        """Put what all requests go through around the whole application, with nothing of FastAPI's outside it."""
        build = self.app.build_middleware_stack
        direct = Direct(self.app, FREQUENT)

        def surrounded() -> ASGIApp:
            stack: ASGIApp = Traffic(build(), direct, self._settings, self.deployment, self.deployment.metrics)
            if not self._settings.origins:
                return stack
            return CORSMiddleware(
                stack,
                allow_origins=self._settings.origins,
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-type", "request-timeout", "x-request-id"],
                expose_headers=["retry-after", "x-request-id"],
            )

        self.app.build_middleware_stack = surrounded

    def _init_manager(self, _: int) -> Any:
        """Do without LitServe's process for queues: what it would share, nobody here asks for."""
        self.workers_setup_status: dict[str, str] = {}
        self._shutdown_event = multiprocessing.Event()
        self._transport = SimpleNamespace(close=lambda **_: None)
        return SimpleNamespace(shutdown=lambda: None)

    def launch_inference_worker(self, _: BundleAPI) -> list[BaseProcess]:
        """Start the first workers."""
        self._supervisor.start(self._order)
        return []  # LitServe is to leave them to the supervisor

    def _launch(self, number: int, order: Order, report: Connection) -> BaseProcess:
        device = self._inference_workers_config_for_api(self.lit_api.api_path)[number]
        if isinstance(device, list):  # LitServe has a list of one per GPU
            (device,) = device
        api = BundleAPI(self._assignment(order), report)
        process = multiprocessing.get_context("forkserver").Process(
            target=inference_worker,
            args=(api, device, number, None, None, {}, self._callback_runner, False),
            name=f"inference-{order.generation}-{number}",
        )
        process.start()
        return process

    def _assignment(self, order: Order) -> Assignment:
        plan = self._plan
        work = (plan.threads, plan.batch_tokens, plan.cascade)
        return Assignment(order.generation, order.folder, order.bundle_id, *work, self._socket)

    def verify_worker_status(self) -> None:
        """Let the HTTP process start while the workers load; `_start_worker_monitoring` waits for both."""

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Begin and end in the HTTP process, inside its event loop."""
        self._control.close()  # the main process's end, which this one inherited
        end = signal.getsignal(signal.SIGTERM)  # uvicorn's
        assert callable(end)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the main process says when it is time
        control = socket.socket(fileno=os.dup(self._control_of_http.fileno()))
        control.setblocking(False)
        self._listener.setblocking(False)
        endpoint = self._settings.otlp_endpoint
        send_spans = start_tracing(endpoint) if endpoint else None
        await self.deployment.start(self._listener, control, lambda: end(signal.SIGTERM, None))
        os.nice(BEHIND_INFERENCE)
        gc.collect()
        gc.freeze()  # what is loaded by now stays: the collector need not go through it again and again
        if self._prediction_log:
            self._prediction_log.start()
        yield
        await self.deployment.close()
        if self._prediction_log:
            await asyncio.to_thread(self._prediction_log.close)
        if send_spans:
            send_spans()

    def _start_worker_monitoring(self, _: object, uvicorn_workers: dict[int, BaseProcess]) -> None:
        """Wait until all is up, say so, and watch from then on."""
        http = uvicorn_workers[0]
        self._listener.close()
        self._control_of_http.close()
        self._supervisor.wait_until_loaded(http)
        while not _listens(self._settings.host, self._settings.port):
            if not http.is_alive():
                raise CommentwiseError("the HTTP process died while starting; its reason stands above")
            time.sleep(0.01)
        threading.Thread(target=self._supervisor.watch, args=(self._control,), daemon=True).start()
        threading.Thread(target=self._watch_http, args=(http,), daemon=True).start()
        bundle = self._order.bundle_id[:12]
        print(f"serving bundle {bundle} on {self._plan.device} at {self.url}", flush=True)

    def _watch_http(self, http: BaseProcess) -> None:
        wait([http.sentinel])  # and no join: when two threads join a process at once, one of them may take it for alive
        self._shutdown_event.set()

    def _perform_graceful_shutdown(
        self, _: object, uvicorn_workers: dict[int, BaseProcess], shutdown_reason: str = "normal"
    ) -> None:
        """End in order: not ready any more, running requests answered, HTTP closed, workers gone."""
        self._supervisor.stop()
        for http in uvicorn_workers.values():
            with suppress(OSError):
                self._control.send(("stop",))
            http.join(self._settings.drain_delay + self._settings.drain_timeout + GRACE_SECONDS)
            if http.is_alive():
                log("HTTP process killed", "error", reason="it did not end in time")
                http.kill()
                http.join()
            elif http.exitcode:
                self.failure = f"the HTTP process died (exit code {http.exitcode}): start the server again; see whether memory runs out"
        for worker in self._supervisor.processes():
            worker.join(GRACE_SECONDS)


def _end_children() -> None:
    """End what is left when the server is stopped while starting; after a proper end there is nothing."""
    for child in multiprocessing.active_children():
        child.kill()
        child.join()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _listens(host: str, port: int) -> bool:
    with socket.socket(_family(host)) as probe:
        return probe.connect_ex((host, port)) == 0

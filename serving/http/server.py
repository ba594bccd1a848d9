"""The server: LitServe's application, HTTP process and workers, their start and their shutdown.

This module overrides LitServe's queues (see channel.py), its routes, its monitoring (see supervisor.py) and its
shutdown, which would leave processes and lose requests. The overrides depend on LitServe's internals, so its version is
pinned, and the tests cover them.
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
from multiprocessing.connection import wait
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
from commentwise.serving.http.fast_path import FastPath
from commentwise.serving.http.head_timeout import HeadTimeoutProtocol
from commentwise.serving.http.inference import Inference
from commentwise.serving.http.middleware import Traffic
from commentwise.serving.http.routes import add_routes, route_table
from commentwise.serving.http.tracing import start_tracing
from commentwise.serving.http.wire_format import RouteTable
from commentwise.serving.log.recorder import PredictionLog, check
from commentwise.serving.runtime.bundle_source import resolve
from commentwise.serving.runtime.channel import Channel
from commentwise.serving.runtime.deployment import FIRST_GENERATION, Deployment
from commentwise.serving.runtime.messages import StartWorkers, Stop
from commentwise.serving.runtime.plan import Plan, make_plan
from commentwise.serving.runtime.served import Bundle
from commentwise.serving.runtime.supervisor import Supervisor
from commentwise.serving.runtime.worker import Assignment, BundleAPI
from commentwise.serving.settings import Settings

KEEP_ALIVE_SECONDS = 75
"""Longer than the idle timeout of common load balancers, which close connections first: avoids keep-alive races."""
GRACE_SECONDS = 5
HTTP_NICENESS = 5
"""Niceness of the HTTP process. At the workers' priority each message would preempt a comment that runs and evict its
caches; at a lower one the process handles several messages at a time, which takes a fifth less CPU time."""


def serve(settings: Settings) -> None:
    """Serve the bundle until SIGTERM or Ctrl-C, then let running requests finish.

    Raises CommentwiseError when the bundle is invalid, the device or the port is not available, or the HTTP process dies.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the workers use all cores
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
        http=HeadTimeoutProtocol,
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
    """Verify the bundle in `folder` and plan how this machine runs it. Raises CommentwiseError when it is invalid."""
    manifest = verify_files(folder)
    plan = make_plan(settings, manifest)
    return Bundle.verified(folder, manifest, plan.device, plan.cascade), plan


def check_port(host: str, port: int) -> None:
    """Raise CommentwiseError when the port cannot be bound."""
    with socket.socket(_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does, for ports in TIME_WAIT
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommentwiseError(
                f"cannot listen on {host} port {port} ({error.strerror}): choose another --port, or stop the process that uses this one"
            ) from None


class BundleServer(litserve.LitServer):  # type: ignore[misc]  # LitServe has no types
    """LitServe with the routes, connections to workers, and supervision of this server."""

    def __init__(self, settings: Settings, plan: Plan, bundle: Bundle, store: Path) -> None:
        self._settings = settings
        self._plan = plan
        self._socket = store / "workers"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._socket))
        self._listener.listen()
        self._control, self._control_of_http = Channel.pair()
        self._supervisor = Supervisor(plan.worker_count, self._launch)
        self._order = StartWorkers(FIRST_GENERATION, str(bundle.folder), bundle.bundle_id)
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
        inference = Inference(settings, self.deployment, metrics, self._prediction_log)
        table = route_table()
        add_routes(self.app, table, inference)
        self._add_middleware(table, inference)

    def register_endpoints(self) -> None:
        """Leave LitServe's own routes out."""

    def _register_middleware(self) -> None:
        """Leave LitServe's middlewares out: compressing responses this short costs more than it saves."""

    def _add_middleware(self, table: RouteTable, inference: Inference) -> None:
        """Put the middleware around the whole application, outside FastAPI's own."""
        build = self.app.build_middleware_stack
        fast_path = FastPath(self.app, table, inference)

        def build_with_traffic() -> ASGIApp:
            stack: ASGIApp = Traffic(build(), fast_path, table, inference)
            if not self._settings.origins:
                return stack
            return CORSMiddleware(
                stack,
                allow_origins=self._settings.origins,
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-type", "request-timeout", "x-request-id"],
                expose_headers=["retry-after", "x-request-id"],
            )

        self.app.build_middleware_stack = build_with_traffic

    def _init_manager(self, _: int) -> Any:
        """Leave LitServe's process for queues out: this server does not use them."""
        self.workers_setup_status: dict[str, str] = {}
        self._shutdown_event = multiprocessing.Event()
        self._transport = SimpleNamespace(close=lambda **_: None)
        return SimpleNamespace(shutdown=lambda: None)

    def launch_inference_worker(self, _: BundleAPI) -> list[BaseProcess]:
        """Start the first workers."""
        self._supervisor.start(self._order)
        return []  # the supervisor owns them, not LitServe

    def _launch(self, number: int, order: StartWorkers, report: Channel) -> BaseProcess:
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

    def _assignment(self, order: StartWorkers) -> Assignment:
        plan = self._plan
        return Assignment(order, plan.threads, plan.batch_tokens, plan.cascade, self._socket)

    def verify_worker_status(self) -> None:
        """Let the HTTP process start while the workers load; `_start_worker_monitoring` waits for both."""

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Start and shut down the HTTP process's part, inside its event loop (called by FastAPI)."""
        self._control.close()  # the main process's end, inherited through fork
        end = signal.getsignal(signal.SIGTERM)  # uvicorn's
        assert callable(end)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the main process sends a Stop message instead
        control = socket.socket(fileno=os.dup(self._control_of_http.connection.fileno()))
        control.setblocking(False)
        self._listener.setblocking(False)
        endpoint = self._settings.otlp_endpoint
        send_spans = start_tracing(endpoint) if endpoint else None
        await self.deployment.start(self._listener, control, lambda: end(signal.SIGTERM, None))
        os.nice(HTTP_NICENESS)
        gc.collect()
        gc.freeze()  # objects created so far live as long as the process: the collector can skip them
        if self._prediction_log:
            self._prediction_log.start()
        yield
        await self.deployment.close()
        if self._prediction_log:
            await asyncio.to_thread(self._prediction_log.close)
        if send_spans:
            send_spans()

    def _start_worker_monitoring(self, _: object, uvicorn_workers: dict[int, BaseProcess]) -> None:
        """Wait until HTTP process and workers are up, print the server's address, and watch them from then on."""
        http = uvicorn_workers[0]
        self._listener.close()
        self._control_of_http.close()
        self._supervisor.wait_until_loaded(http)
        while not _listens(self._settings.host, self._settings.port):
            if not http.is_alive():
                raise CommentwiseError("the HTTP process died while starting: fix the error above")
            time.sleep(0.01)
        threading.Thread(target=self._supervisor.watch, args=(self._control,), daemon=True).start()
        threading.Thread(target=self._watch_http, args=(http,), daemon=True).start()
        bundle = self._order.bundle_id[:12]
        print(f"serving bundle {bundle} on {self._plan.device} at {self.url}", flush=True)

    def _watch_http(self, http: BaseProcess) -> None:
        wait([http.sentinel])  # not join: when two threads join a process at once, one may see it as alive
        self._shutdown_event.set()

    def _perform_graceful_shutdown(
        self, _: object, uvicorn_workers: dict[int, BaseProcess], shutdown_reason: str = "normal"
    ) -> None:
        """Shut down in order: readiness off, running requests answered, HTTP closed, workers ended."""
        self._supervisor.stop()
        for http in uvicorn_workers.values():
            with suppress(OSError):
                self._control.send(Stop())
            http.join(self._settings.drain_delay + self._settings.drain_timeout + GRACE_SECONDS)
            if http.is_alive():
                log("HTTP process killed", "error", reason="it did not exit in time")
                http.kill()
                http.join()
            elif http.exitcode:
                self.failure = f"the HTTP process died (exit code {http.exitcode}): check for lack of memory, and start the server again"
        for worker in self._supervisor.processes():
            worker.join(GRACE_SECONDS)


def _end_children() -> None:
    """Kill the child processes left when the server is stopped while starting; a normal shutdown leaves none."""
    for child in multiprocessing.active_children():
        child.kill()
        child.join()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _listens(host: str, port: int) -> bool:
    with socket.socket(_family(host)) as probe:
        return probe.connect_ex((host, port)) == 0

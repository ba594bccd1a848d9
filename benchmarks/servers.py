"""The servers that are compared, all of the same model: ours and what others would write or take instead.

Each runs as a process of its own on a free port. What needs an environment of its own gets it under build/peers, with
pip, the first time.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from models.bundle import TOKENIZER, Manifest
from models.errors import CommentwiseError
from models.files import atomic_folder, write_text
from serving.demo import free_port

PEERS = Path("build/peers")
INFINITY_REQUIREMENTS = Path("benchmarks/peers/infinity.txt")
START_SECONDS = 180
STOP_SECONDS = 20
ANSWER_SECONDS = 60
ASKED_AT_ONCE = 32
LAST_LINES = 15
OURS = "commentwise"


class Missing(CommentwiseError):
    """A server that cannot be had here; the message says why."""


@dataclass(frozen=True)
class Server:
    """How one server is started and asked."""

    name: str
    what: str
    """What it runs, in a few words."""
    command: Callable[[int], list[str]]
    """What serves on a port; makes what that needs first. Raises Missing where it cannot be made."""
    path: str
    ask: Callable[[str], dict[str, Any]]
    """The request for one comment."""
    label: Callable[[Any], str]
    """The label in an answer."""
    folder: Path = Path()
    """Where the command runs."""

    def body(self, comment: str) -> str:
        """The request for one comment as it is sent."""
        return json.dumps(self.ask(comment), ensure_ascii=False)


def contenders(bundle: Path, checkpoint: Path | None) -> list[Server]:
    """Ours and its peers. `checkpoint` is the folder of the bundle's model as transformers reads it, if there is one."""
    manifest = Manifest.from_json(bundle / "manifest.json")
    graph = manifest.devices["cpu"]
    model = PEERS / "infinity-model"

    def ours(port: int) -> list[str]:
        flags = ["--model", str(bundle), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--cache", "0"]
        return [sys.executable, "-m", "serving", *flags]

    def plain(port: int) -> list[str]:
        return [sys.executable, "-m", "benchmarks.peers.plain_litserve", str(bundle), str(port)]

    def pipeline(port: int) -> list[str]:
        arguments = [str(_present(checkpoint)), str(manifest.max_tokens), str(port)]
        return [sys.executable, "-m", "benchmarks.peers.fastapi_pipeline", *arguments]

    def infinity(port: int) -> list[str]:
        _write_model(model, _present(checkpoint), bundle, graph)
        program = _environment("infinity", INFINITY_REQUIREMENTS).resolve() / "bin" / "infinity_emb"
        # It finds an ONNX file in the working folder only, and its own warm-up sends texts that are too long for BERT.
        flags = ["--model-id", ".", "--served-model-name", "comments", "--engine", "optimum", "--device", "cpu"]
        flags += ["--no-model-warmup", "--no-vector-disk-cache", "--log-level", "warning"]
        return [str(program), "v2", *flags, "--host", "127.0.0.1", "--port", str(port)]

    def text(comment: str) -> dict[str, Any]:
        return {"text": comment}

    return [
        Server(OURS, f"{graph}, its cache off", ours, "/analyze", text, lambda answer: answer["sentiment"]),
        Server(
            "LitServe, plain",
            f"{graph}, padded batches of 32 within 5 ms",
            plain,
            "/predict",
            text,
            lambda answer: answer["label"],
        ),
        Server(
            "FastAPI + transformers",
            "torch fp32, a pipeline in FastAPI's threads",
            pipeline,
            "/analyze",
            text,
            lambda answer: answer["label"],
        ),
        Server(
            "infinity",
            f"{graph}, engine optimum, its fastest on a CPU",
            infinity,
            "/classify",
            lambda comment: {"model": "comments", "input": [comment]},
            lambda answer: answer["data"][0][0]["label"],
            model,
        ),
    ]


def _present(checkpoint: Path | None) -> Path:
    if checkpoint is None:
        raise Missing("it needs the model as transformers reads it: name its folder with --checkpoint")
    return checkpoint.resolve()


def _write_model(folder: Path, checkpoint: Path, bundle: Path, graph: str) -> None:
    """Lay out the bundle's graph and tokenizer in the way optimum reads them."""
    with atomic_folder(folder) as temporary:
        shutil.copyfile(checkpoint / "config.json", temporary / "config.json")
        shutil.copyfile(bundle / TOKENIZER, temporary / TOKENIZER)
        shutil.copyfile(bundle / graph, temporary / "model.onnx")


def _environment(name: str, requirements: Path) -> Path:
    """A virtual environment with what the file of requirements names, made unless it is there. Raises Missing."""
    folder = PEERS / name
    done, wanted = folder / "installed.txt", requirements.read_text(encoding="utf-8")
    if done.exists() and done.read_text(encoding="utf-8") == wanted:
        return folder
    print(f"serving: installing {requirements} in {folder}", flush=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--requirement", str(requirements)]
    for command in ([sys.executable, "-m", "venv", "--clear", str(folder)], pip):
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        if finished.returncode:
            raise Missing(f"it could not be installed: {_last_lines(finished.stderr, 1)}")
    write_text(done, wanted)
    return folder


class Running:
    """A server that answers, and what its processes use."""

    def __init__(self, server: Server, process: subprocess.Popen[bytes], client: httpx.Client, output: Path) -> None:
        self._server = server
        self._process = process
        self._client = client
        self._output = output

    @property
    def url(self) -> str:
        """Where comments are sent."""
        return str(self._client.base_url.join(self._server.path))

    def check(self) -> None:
        """Raise CommentwiseError with its last output when the process has ended."""
        if self._process.poll() is not None:
            raise CommentwiseError(self._with_output(f"it ended with exit code {self._process.returncode}"))

    def wait(self) -> None:
        """Wait for its health check. Raises CommentwiseError when it ends before or is not ready in time."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self.check()
            with suppress(httpx.TransportError):
                if self._client.get("/health").is_success:
                    return
            time.sleep(0.2)
        raise CommentwiseError(self._with_output(f"it was not ready within {START_SECONDS} seconds"))

    def labels(self, comments: Sequence[str]) -> list[str]:
        """Its labels of comments, many asked at a time, since some servers answer otherwise in batches.

        Raises CommentwiseError when it refuses one or answers in another form.
        """
        with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            return list(pool.map(self._label, comments))

    def _label(self, comment: str) -> str:
        body = self._server.body(comment).encode()
        try:
            response = self._client.post(self._server.path, content=body, headers={"Content-Type": "application/json"})
            return self._server.label(response.raise_for_status().json())
        except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            raise CommentwiseError(self._with_output(f"it does not answer {comment!r} ({error!r})")) from None

    def cpu_seconds(self) -> float:
        """CPU time that its processes have used so far."""
        return self._total(lambda process: sum(process.cpu_times()[:2]))

    def memory_mb(self) -> float:
        """Resident memory of its processes, pages that they share counted once where the system can tell (Linux)."""
        return self._total(_resident_bytes) / 1024**2

    def _total(self, use: Callable[[psutil.Process], float]) -> float:
        self.check()
        process = psutil.Process(self._process.pid)
        total = 0.0
        for member in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):  # it ended meanwhile
                total += use(member)
        return total

    def _with_output(self, message: str) -> str:
        return f"{message}\n{_last_lines(self._output.read_text(encoding='utf-8', errors='replace'))}"


def _resident_bytes(process: psutil.Process) -> float:
    memory = process.memory_full_info()
    return float(getattr(memory, "pss", memory.rss))


@contextmanager
def running(server: Server) -> Iterator[Running]:
    """Start a server, yield it once it is healthy, and leave none of its processes behind.

    Raises Missing when it cannot be had here and CommentwiseError when it does not come up.
    """
    port = free_port()
    command = server.command(port)
    with tempfile.TemporaryDirectory(prefix="serving-") as folder:
        output = Path(folder) / "output.txt"
        with output.open("wb") as stream:
            process = subprocess.Popen(
                command,
                cwd=server.folder,
                env=_variables(),
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is ours to pass on, and its children can be ended with it
            )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=ANSWER_SECONDS, trust_env=False) as client:
                started = Running(server, process, client, output)
                started.wait()
                yield started
        finally:
            _stop(process)


def _variables() -> dict[str, str]:
    """The environment without settings of our server, and with telemetry and downloads of the peers switched off."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COMMENTWISE_")}
    return inherited | {"DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a server to end, and end what is left of its process group: LitServe's children outlive it."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_lines(output: str, count: int = LAST_LINES) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return "\n".join(lines[-count:]) or "it said nothing"

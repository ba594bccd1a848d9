"""The servers that are compared, all with the same model: ours and its peers.

To add a peer: write a function that returns its Server, with the request for one comment, the command, and the packages
that it needs, and add it to the list in contenders(). A peer that is a program of its own goes to peers/. Nothing else
lists servers: the speed, start-up, memory and size of a new peer are measured, and reported, from then on.

Environments and files that a peer needs are created under build/peers on first use.
"""

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.processes import last_lines
from benchmarks.result import OURS, Unavailable
from benchmarks.servers.installed import closure, environment
from benchmarks.servers.running import Server
from commentwise.fileio import atomic_folder, write_text
from commentwise.models.bundle import TOKENIZER, Manifest
from commentwise.models.cores import available_cores
from commentwise.training.provenance import folder_md5

PEERS = Path("build/peers")
PROJECT = Path("pyproject.toml")
INFINITY_REQUIREMENTS = Path("benchmarks/servers/peers/infinity.txt")


def contenders(bundle: Path, checkpoint: Path | None) -> list[Server]:
    """Ours and its peers; `checkpoint` is the folder of the bundle's model in the form that transformers loads."""
    return [
        ours(bundle),
        _plain_litserve(bundle),
        _fastapi_pipeline(bundle, checkpoint),
        _infinity(bundle, checkpoint),
        _mlflow(bundle, checkpoint),
    ]


def ours(bundle: Path, flags: Sequence[str] = ()) -> Server:
    """Our server with its cache off, and further `flags`."""

    def command(port: int) -> list[str]:
        always = ["--model", str(bundle), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--cache", "0"]
        return [sys.executable, "-m", "commentwise.serving", *always, *flags]

    return Server(
        name=OURS,
        description=f"{_graph(bundle)}, its cache off",
        command=command,
        path="/analyze",
        request=_text,
        label=lambda answer: answer["sentiment"],
        imports="import commentwise.serving.http.server",
        packages=lambda: closure(extras()["serve"]),
        quick=True,
    )


def extras() -> dict[str, list[str]]:
    """The requirements of each extra of this project, with those of the project itself."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    return {name: project["dependencies"] + wanted for name, wanted in project["optional-dependencies"].items()}


def _plain_litserve(bundle: Path) -> Server:
    def command(port: int) -> list[str]:
        return [sys.executable, "-m", "benchmarks.servers.peers.plain_litserve", str(bundle), str(port)]

    return Server(
        name="LitServe, plain",
        description=f"{_graph(bundle)}, padded batches of 32 within 5 ms",
        command=command,
        path="/predict",
        request=_text,
        label=lambda answer: answer["label"],
        imports="import litserve, onnxruntime, tokenizers",
        packages=lambda: closure(["litserve", "onnxruntime", "tokenizers"]),
        quick=True,
    )


def _fastapi_pipeline(bundle: Path, checkpoint: Path | None) -> Server:
    def command(port: int) -> list[str]:
        arguments = [str(_required(checkpoint)), str(_manifest(bundle).max_tokens), str(port)]
        return [sys.executable, "-m", "benchmarks.servers.peers.fastapi_pipeline", *arguments]

    return Server(
        name="FastAPI + transformers",
        description="torch fp32, a pipeline in FastAPI's threads",
        command=command,
        path="/analyze",
        request=_text,
        label=lambda answer: answer["label"],
        imports="import fastapi, uvicorn; from transformers import pipeline",
        packages=lambda: closure(["fastapi", "uvicorn", "transformers", "torch"]),
    )


def _infinity(bundle: Path, checkpoint: Path | None) -> Server:
    model, graph = PEERS / "infinity-model", _graph(bundle)

    def command(port: int) -> list[str]:
        _write_for_optimum(model, _required(checkpoint), bundle, graph)
        program = _infinity_python().with_name("infinity_emb")
        # It finds an ONNX file only in the working folder, and the texts of its warm-up are too long for BERT.
        flags = ["--model-id", ".", "--served-model-name", "comments", "--engine", "optimum", "--device", "cpu"]
        flags += ["--no-model-warmup", "--no-vector-disk-cache", "--log-level", "warning"]
        return [str(program), "v2", *flags, "--host", "127.0.0.1", "--port", str(port)]

    return Server(
        name="infinity",
        description=f"{graph}, engine optimum, its fastest on a CPU",
        command=command,
        path="/classify",
        request=lambda comment: {"model": "comments", "input": [comment]},
        label=lambda answer: answer["data"][0][0]["label"],
        imports="import infinity_emb.infinity_server",
        packages=lambda: environment(_infinity_python()),
        python=_infinity_python,
        folder=model,
    )


def _mlflow(bundle: Path, checkpoint: Path | None) -> Server:
    workers = available_cores()  # as its documentation scales it; each worker loads the model

    def command(port: int) -> list[str]:
        model = _saved_by_mlflow(_required(checkpoint), _manifest(bundle).max_tokens)
        flags = ["--model-uri", str(model), "--env-manager", "local", "--workers", str(workers)]
        return [sys.executable, "-m", "mlflow", "models", "serve", *flags, "--host", "127.0.0.1", "--port", str(port)]

    return Server(
        name="mlflow models serve",
        description=f"torch fp32, a transformers pipeline in {workers} workers",
        command=command,
        path="/invocations",
        request=lambda comment: {"inputs": [comment]},
        label=lambda answer: answer["predictions"][0]["label"],
        imports="import mlflow.pyfunc.scoring_server, mlflow.transformers; from transformers import pipeline",
        packages=lambda: closure(["mlflow", "transformers", "torch"]),
    )


def _manifest(bundle: Path) -> Manifest:
    return Manifest.from_json(bundle / "manifest.json")


def _graph(bundle: Path) -> str:
    return _manifest(bundle).devices["cpu"]


def _text(comment: str) -> dict[str, Any]:
    return {"text": comment}


def _required(checkpoint: Path | None) -> Path:
    if checkpoint is None:
        raise Unavailable("it needs the model in the form that transformers loads: name its folder with --checkpoint")
    return checkpoint.resolve()


def _write_for_optimum(folder: Path, checkpoint: Path, bundle: Path, graph: str) -> None:
    """Write the bundle's graph and tokenizer in the layout that optimum loads."""
    with atomic_folder(folder) as temporary:
        shutil.copyfile(checkpoint / "config.json", temporary / "config.json")
        shutil.copyfile(bundle / TOKENIZER, temporary / TOKENIZER)
        shutil.copyfile(bundle / graph, temporary / "model.onnx")


def _saved_by_mlflow(checkpoint: Path, max_tokens: int) -> Path:
    """The checkpoint as saved by MLflow, created on first use. Raises Unavailable if MLflow fails."""
    folder = PEERS / f"mlflow-{folder_md5(checkpoint)[:12]}-{max_tokens}"
    if folder.exists():
        return folder
    arguments = [str(checkpoint), str(max_tokens), str(folder)]
    command = [sys.executable, "-m", "benchmarks.servers.peers.mlflow_model", *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise Unavailable(f"its model could not be saved: {last_lines(finished.stderr, 1)}")
    return folder


def _infinity_python() -> Path:
    """The interpreter of infinity's virtual environment, created on first use.

    Raises Unavailable if it cannot be installed.
    """
    folder = PEERS / "infinity"
    python = folder.resolve() / "bin" / "python"
    done, wanted = folder / "installed.txt", INFINITY_REQUIREMENTS.read_text(encoding="utf-8")
    if done.exists() and done.read_text(encoding="utf-8") == wanted:
        return python
    print(f"serving: installing {INFINITY_REQUIREMENTS} in {folder}", flush=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(INFINITY_REQUIREMENTS)]
    for command in ([sys.executable, "-m", "venv", "--clear", str(folder)], install):
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        if finished.returncode:
            raise Unavailable(f"it could not be installed: {last_lines(finished.stderr, 1)}")
    write_text(done, wanted)
    return python

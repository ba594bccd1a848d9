"""The servers that are compared, all of the same model: ours and what others would write or take instead.

What needs an environment or files of its own gets them under build/peers the first time.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.processes import last_lines
from benchmarks.servers.process import Missing, Server
from commentwise.fileio import atomic_folder, write_text
from commentwise.models.bundle import TOKENIZER, Manifest
from commentwise.models.cores import available_cores
from commentwise.training.provenance import folder_md5

PEERS = Path("build/peers")
INFINITY_REQUIREMENTS = Path("benchmarks/servers/peers/infinity.txt")
OURS = "commentwise"


def contenders(bundle: Path, checkpoint: Path | None) -> list[Server]:
    """Ours and its peers. `checkpoint` is the folder of the bundle's model as transformers reads it, if there is one."""
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

    return Server(OURS, f"{_graph(bundle)}, its cache off", command, "/analyze", _text, lambda answer: answer["sentiment"])  # fmt: skip


def _plain_litserve(bundle: Path) -> Server:
    def command(port: int) -> list[str]:
        return [sys.executable, "-m", "benchmarks.servers.peers.plain_litserve", str(bundle), str(port)]

    what = f"{_graph(bundle)}, padded batches of 32 within 5 ms"
    return Server("LitServe, plain", what, command, "/predict", _text, lambda answer: answer["label"])


def _fastapi_pipeline(bundle: Path, checkpoint: Path | None) -> Server:
    def command(port: int) -> list[str]:
        arguments = [str(_present(checkpoint)), str(_manifest(bundle).max_tokens), str(port)]
        return [sys.executable, "-m", "benchmarks.servers.peers.fastapi_pipeline", *arguments]

    what = "torch fp32, a pipeline in FastAPI's threads"
    return Server("FastAPI + transformers", what, command, "/analyze", _text, lambda answer: answer["label"])


def _infinity(bundle: Path, checkpoint: Path | None) -> Server:
    model, graph = PEERS / "infinity-model", _graph(bundle)

    def command(port: int) -> list[str]:
        _write_for_optimum(model, _present(checkpoint), bundle, graph)
        program = infinity_environment().resolve() / "bin" / "infinity_emb"
        # It finds an ONNX file in the working folder only, and its own warm-up sends texts that are too long for BERT.
        flags = ["--model-id", ".", "--served-model-name", "comments", "--engine", "optimum", "--device", "cpu"]
        flags += ["--no-model-warmup", "--no-vector-disk-cache", "--log-level", "warning"]
        return [str(program), "v2", *flags, "--host", "127.0.0.1", "--port", str(port)]

    return Server(
        "infinity",
        f"{graph}, engine optimum, its fastest on a CPU",
        command,
        "/classify",
        lambda comment: {"model": "comments", "input": [comment]},
        lambda answer: answer["data"][0][0]["label"],
        model,
    )


def _mlflow(bundle: Path, checkpoint: Path | None) -> Server:
    workers = available_cores()  # as its documentation scales it: each has a model of its own

    def command(port: int) -> list[str]:
        model = _saved_by_mlflow(_present(checkpoint), _manifest(bundle).max_tokens)
        flags = ["--model-uri", str(model), "--env-manager", "local", "--workers", str(workers)]
        return [sys.executable, "-m", "mlflow", "models", "serve", *flags, "--host", "127.0.0.1", "--port", str(port)]

    return Server(
        "mlflow models serve",
        f"torch fp32, a transformers pipeline in {workers} workers",
        command,
        "/invocations",
        lambda comment: {"inputs": [comment]},
        lambda answer: answer["predictions"][0]["label"],
    )


def _manifest(bundle: Path) -> Manifest:
    return Manifest.from_json(bundle / "manifest.json")


def _graph(bundle: Path) -> str:
    return _manifest(bundle).devices["cpu"]


def _text(comment: str) -> dict[str, Any]:
    return {"text": comment}


def _present(checkpoint: Path | None) -> Path:
    if checkpoint is None:
        raise Missing("it needs the model as transformers reads it: name its folder with --checkpoint")
    return checkpoint.resolve()


def _write_for_optimum(folder: Path, checkpoint: Path, bundle: Path, graph: str) -> None:
    """Lay out the bundle's graph and tokenizer in the way optimum reads them."""
    with atomic_folder(folder) as temporary:
        shutil.copyfile(checkpoint / "config.json", temporary / "config.json")
        shutil.copyfile(bundle / TOKENIZER, temporary / TOKENIZER)
        shutil.copyfile(bundle / graph, temporary / "model.onnx")


def _saved_by_mlflow(checkpoint: Path, max_tokens: int) -> Path:
    """The checkpoint as MLflow saves it, made unless it is there. Raises Missing where MLflow cannot do it."""
    folder = PEERS / f"mlflow-{folder_md5(checkpoint)[:12]}-{max_tokens}"
    if folder.exists():
        return folder
    command = [
        sys.executable,
        "-m",
        "benchmarks.servers.peers.mlflow_model",
        str(checkpoint),
        str(max_tokens),
        str(folder),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise Missing(f"its model could not be saved: {last_lines(finished.stderr, 1)}")
    return folder


def infinity_environment() -> Path:
    """infinity's virtual environment, made unless it is there. Raises Missing where it cannot be installed."""
    folder = PEERS / "infinity"
    done, wanted = folder / "installed.txt", INFINITY_REQUIREMENTS.read_text(encoding="utf-8")
    if done.exists() and done.read_text(encoding="utf-8") == wanted:
        return folder
    print(f"serving: installing {INFINITY_REQUIREMENTS} in {folder}", flush=True)
    python = str(folder / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--requirement", str(INFINITY_REQUIREMENTS)]
    for command in ([sys.executable, "-m", "venv", "--clear", str(folder)], install):
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        if finished.returncode:
            raise Missing(f"it could not be installed: {last_lines(finished.stderr, 1)}")
    write_text(done, wanted)
    return folder

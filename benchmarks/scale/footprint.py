"""Start-up and size: what a server costs before its first answer, ours and its peers.

  python -m benchmarks.scale.footprint --bundle artifacts/bundle --checkpoint FOLDER

For every server: the time a fresh interpreter takes to import it, the time from its start to its first healthy answer,
its memory when it rests, and the disk that its packages take. Times are medians. CHECKPOINT is the bundle's model as
transformers reads it; without it the peers that need it are named as missing. It takes about 1.5 minutes on 2 cores.
"""

import argparse
import signal
import statistics
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from typing import Any

from benchmarks.processes import last_lines
from benchmarks.run_facts import run_facts
from benchmarks.scale.installed import closure, environment, megabytes
from benchmarks.servers.contenders import OURS, contenders, infinity_environment
from benchmarks.servers.process import Missing, Running, Server, running
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import write_json

RESULT = Path("benchmarks/results/footprint.json")
PROJECT = Path("pyproject.toml")
REST_SECONDS = 30
"""How long a server may take to rest after it is healthy."""
WATCHED_SECONDS = 0.5
IDLE_CORES = 0.3
"""A server that uses less of the processor is idle."""


@dataclass(frozen=True)
class Needs:
    """What a server imports, and which packages it needs."""

    imports: str
    """Python that imports what it has imported when it starts."""
    packages: Callable[[], dict[str, Distribution]]
    """By name. Raises Missing or PackageNotFoundError where they are not installed."""
    python: Callable[[], Path] = lambda: Path(sys.executable)


def extras() -> dict[str, list[str]]:
    """What each extra of this project asks for, with what all of them need."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    return {name: project["dependencies"] + wanted for name, wanted in project["optional-dependencies"].items()}


def _infinity_python() -> Path:
    return infinity_environment().resolve() / "bin" / "python"


NEEDS = {
    OURS: Needs("import commentwise.serving.http.server", lambda: closure(extras()["serve"])),
    "LitServe, plain": Needs(
        "import litserve, onnxruntime, tokenizers",
        lambda: closure(["litserve", "onnxruntime", "tokenizers"]),
    ),
    "FastAPI + transformers": Needs(
        "import fastapi, uvicorn; from transformers import pipeline",
        lambda: closure(["fastapi", "uvicorn", "transformers", "torch"]),
    ),
    "infinity": Needs(
        "import infinity_emb.infinity_server",
        lambda: environment(_infinity_python()),
        _infinity_python,
    ),
    "mlflow models serve": Needs(
        "import mlflow.pyfunc.scoring_server, mlflow.transformers; from transformers import pipeline",
        lambda: closure(["mlflow", "transformers", "torch"]),
    ),
}
"""By the server's name."""
QUICK = (OURS, "LitServe, plain")
"""Those that start without torch."""


def main() -> None:
    """Measure what the command line names and write the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale.footprint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--bundle", type=Path, default=Path("artifacts/bundle"), help="folder (default: %(default)s)")
    add("--checkpoint", type=Path, help="folder of the bundle's model as transformers reads it")
    add("--repeats", type=int, help="rounds of each time (default: 2, quick 1)")
    add("--quick", action="store_true", help="only show in 20 seconds that it works: what starts with torch stays out")
    add("--out", type=Path, default=RESULT, help="JSON to write (default: %(default)s)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers are stopped then too
    repeats = options.repeats if options.repeats is not None else 1 if options.quick else 2
    if repeats < 1:
        raise CommentwiseError("--repeats must be 1 or more")
    servers: dict[str, dict[str, Any]] = {}
    for server in contenders(options.bundle, options.checkpoint):
        left_out = options.quick and server.name not in QUICK
        facts = {"missing": "left out by --quick"} if left_out else measure(server, NEEDS[server.name], repeats)
        servers[server.name] = facts
        print(f"footprint: {server.name}: {outcome(facts)}", flush=True)
    result = {
        **run_facts("benchmarks.scale.footprint"),
        "rounds": repeats,
        "servers": servers,
        "extras": {name: extra_size(wanted) for name, wanted in extras().items()},
    }
    write_json(options.out, result)
    print(f"footprint: written to {options.out}")


def measure(server: Server, needs: Needs, repeats: int) -> dict[str, Any]:
    """What a server costs, or why it is missing or how it failed."""
    try:
        starts = [_start(server) for _ in range(repeats)]
        packages = needs.packages()
        return {
            "import_seconds": _median([_import_seconds(needs) for _ in range(repeats)]),
            "ready_seconds": _median([seconds for seconds, _ in starts]),
            "memory_mb": round(statistics.median(memory for _, memory in starts), 1),
            "install_mb": round(megabytes(packages.values()), 1),
            "packages": len(packages),
        }
    except Missing as error:
        return {"missing": str(error)}
    except PackageNotFoundError as error:
        return {"missing": f"{error.name} is not installed"}
    except CommentwiseError as error:
        return {"failed": str(error)}


def _start(server: Server) -> tuple[float, float]:
    """Seconds until a server is healthy, and its MB of memory once it rests."""
    with running(server) as started:
        _wait_until_idle(started)
        return started.ready_seconds, started.memory_mb()


def _wait_until_idle(started: Running) -> None:
    """Some servers are healthy before all of their workers have loaded the model, and some never rest wholly."""
    deadline = time.monotonic() + REST_SECONDS
    while time.monotonic() < deadline:
        before = started.cpu_seconds()
        time.sleep(WATCHED_SECONDS)
        if started.cpu_seconds() - before < IDLE_CORES * WATCHED_SECONDS:
            return


def _import_seconds(needs: Needs) -> float:
    """Seconds of the imports in a fresh interpreter, whose own start is not among them."""
    code = f"import time; start = time.perf_counter(); {needs.imports}; print(time.perf_counter() - start)"
    finished = subprocess.run([str(needs.python()), "-c", code], capture_output=True, text=True, check=False)
    if finished.returncode:
        raise CommentwiseError(f"`{needs.imports}` failed: {last_lines(finished.stderr, 1)}")
    return float(finished.stdout.splitlines()[-1])


def _median(seconds: Sequence[float]) -> dict[str, Any]:
    return {"value": round(statistics.median(seconds), 3), "rounds": [round(value, 3) for value in seconds]}


def extra_size(requirements: Sequence[str]) -> float | dict[str, str]:
    """MB that requirements take with all that they need, or what of them is missing."""
    try:
        return round(megabytes(closure(requirements).values()), 1)
    except PackageNotFoundError as error:
        return {"missing": f"{error.name} is not installed"}


def outcome(facts: dict[str, Any]) -> str:
    """One line about a server."""
    for state in ("missing", "failed"):
        if state in facts:
            return f"{state}: {facts[state].splitlines()[0]}"
    return (
        f"imported in {facts['import_seconds']['value']:.1f} s, ready in {facts['ready_seconds']['value']:.1f} s, "
        f"{facts['memory_mb']:.0f} MB of memory, {facts['install_mb']:.0f} MB of disk in {facts['packages']} packages"
    )


if __name__ == "__main__":
    run_command(main)

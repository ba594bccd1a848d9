"""Measure start-up and size of our server and its peers.

  python -m benchmarks.scale.footprint --bundle artifacts/bundle --checkpoint FOLDER

For every server: the time a fresh interpreter takes to import it, the time from its start to its first healthy answer,
its memory at rest, and the disk space of its packages. Times are medians. The checkpoint is the bundle's model in the
form that transformers loads; without it, the peers that need it are reported as missing. It takes about 1.5 minutes on
2 cores.
"""

import argparse
import signal
import statistics
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from benchmarks.processes import last_lines
from benchmarks.result import Failed, Missing, Rounds, Unavailable
from benchmarks.run_facts import run_facts
from benchmarks.scale.result import Footprint, FootprintResult
from benchmarks.servers.contenders import contenders, extras
from benchmarks.servers.installed import closure, megabytes
from benchmarks.servers.running import Running, Server, running
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import write_json

RESULT = Path("benchmarks/results/footprint.json")
REST_SECONDS = 30
"""Maximum time until a healthy server is idle."""
WATCHED_SECONDS = 0.5
IDLE_CORES = 0.3
"""A server that uses fewer cores than this is idle."""

Row = Footprint | Missing | Failed


def main() -> None:
    """Measure every server and extra, and write the result."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale.footprint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--bundle", type=Path, default=Path("artifacts/bundle"), help="folder (default: %(default)s)")
    add("--checkpoint", type=Path, help="folder of the bundle's model in the form that transformers loads")
    add("--repeats", type=int, help="rounds of each time (default: 2, quick 1)")
    add("--quick", action="store_true", help="check in 20 seconds that it works, without the servers that need torch")
    add("--out", type=Path, default=RESULT, help="JSON to write (default: %(default)s)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that servers are stopped too
    repeats = options.repeats if options.repeats is not None else 1 if options.quick else 2
    if repeats < 1:
        raise CommentwiseError("--repeats must be 1 or more")
    servers: dict[str, Row] = {}
    for server in contenders(options.bundle, options.checkpoint):
        left_out = options.quick and not server.quick
        row: Row = {"missing": "left out by --quick"} if left_out else measure(server, repeats)
        servers[server.name] = row
        print(f"footprint: {server.name}: {summary(row)}", flush=True)
    result: FootprintResult = {
        **run_facts("benchmarks.scale.footprint"),
        "rounds": repeats,
        "servers": servers,
        "extras": {name: extra_size(wanted) for name, wanted in extras().items()},
    }
    write_json(options.out, result)
    print(f"footprint: written to {options.out}")


def measure(server: Server, repeats: int) -> Row:
    """Start-up and size of a server, or why it is missing or failed."""
    try:
        starts = [_start(server) for _ in range(repeats)]
        packages = server.packages()
        return {
            "import_seconds": _median([_import_seconds(server) for _ in range(repeats)]),
            "ready_seconds": _median([seconds for seconds, _ in starts]),
            "memory_mb": round(statistics.median(memory for _, memory in starts), 1),
            "install_mb": round(megabytes(packages.values()), 1),
            "packages": len(packages),
        }
    except Unavailable as error:
        return {"missing": str(error)}
    except PackageNotFoundError as error:
        return {"missing": f"{error.name} is not installed"}
    except CommentwiseError as error:
        return {"failed": str(error)}


def _start(server: Server) -> tuple[float, float]:
    """Seconds until a server is healthy, and its memory in MB at rest."""
    with running(server) as started:
        _wait_until_idle(started)
        return started.ready_seconds, started.memory_mb()


def _wait_until_idle(started: Running) -> None:
    """Wait until a server is idle: some are healthy before all workers have loaded the model, and some never rest."""
    deadline = time.monotonic() + REST_SECONDS
    while time.monotonic() < deadline:
        before = started.cpu_seconds()
        time.sleep(WATCHED_SECONDS)
        if started.cpu_seconds() - before < IDLE_CORES * WATCHED_SECONDS:
            return


def _import_seconds(server: Server) -> float:
    """Seconds that the imports take in a fresh interpreter, without its own start."""
    code = f"import time; start = time.perf_counter(); {server.imports}; print(time.perf_counter() - start)"
    finished = subprocess.run([str(server.python()), "-c", code], capture_output=True, text=True, check=False)
    if finished.returncode:
        raise CommentwiseError(f"`{server.imports}` failed: {last_lines(finished.stderr, 1)}")
    return float(finished.stdout.splitlines()[-1])


def _median(seconds: Sequence[float]) -> Rounds:
    return {"value": round(statistics.median(seconds), 3), "rounds": [round(value, 3) for value in seconds]}


def extra_size(requirements: Sequence[str]) -> float | Missing:
    """Size in MB of requirements with all their dependencies, or which of them is missing."""
    try:
        return round(megabytes(closure(requirements).values()), 1)
    except PackageNotFoundError as error:
        return {"missing": f"{error.name} is not installed"}


def summary(row: Row) -> str:
    """One line about a server."""
    if "missing" in row:
        return f"missing: {row['missing'].splitlines()[0]}"
    if "failed" in row:
        return f"failed: {row['failed'].splitlines()[0]}"
    return (
        f"imported in {row['import_seconds']['value']:.1f} s, ready in {row['ready_seconds']['value']:.1f} s, "
        f"{row['memory_mb']:.0f} MB of memory, {row['install_mb']:.0f} MB of disk in {row['packages']} packages"
    )


if __name__ == "__main__":
    run_command(main)

"""Serving speed: our server and its peers over HTTP, next to the engine alone, with the same model and real comments.

  python -m benchmarks.servers --bundle artifacts/bundle --data comments.csv --column Comment --checkpoint FOLDER

Every server runs as a real process and gets one comment per request. Servers run one after the other, the engine before
and after each of them: a server's ratio is to the mean of these two, since machines drift. Closed-loop figures are
medians of several rounds. Comments are sent normalised and cut where the bundle cuts them, so that all servers see the
same tokens. CHECKPOINT is the bundle's model as transformers reads it, e.g. artifacts/candidates/bert/model; without it
the peers that need it are named as missing. The open loop sends more and more until the goodput, what is answered
within a second, has clearly fallen. It takes about 8 minutes; run it on a quiet machine.
"""

import argparse
import dataclasses
import itertools
import signal
import statistics
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.run_facts import run_facts
from benchmarks.samples import SEED, draw, read_column
from benchmarks.servers.contenders import INFINITY_REQUIREMENTS, contenders
from benchmarks.servers.load import percentiles_ms
from benchmarks.servers.loops import FULL, QUICK, Scope, measure, median_latency
from benchmarks.servers.process import Missing, Server, running
from benchmarks.servers.table import outcome, show
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import write_json
from commentwise.models.bundle import Classifier, bundle_id
from commentwise.training.provenance import environment_facts, git_facts

RESULT = Path("benchmarks/results/serving.json")
CHUNK = 256
"""Comments per call when the engine is timed: many enough that a core which waits for the last one does not count."""


def main() -> None:
    """Measure what the command line names, write figures and chart, and print them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.servers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, default=Path("artifacts/bundle"), help="folder (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=Path("data/sample/comments.jsonl"), help="file with comments (default: %(default)s)")  # fmt: skip
    parser.add_argument("--column", default="text", help="its column with the texts (default: %(default)s)")
    parser.add_argument("--checkpoint", type=Path, help="folder of the bundle's model as transformers reads it")
    parser.add_argument("--quick", action="store_true", help="only show in about a minute that everything works")
    parser.add_argument("--seconds", type=float, help=f"length of one measurement (default: {FULL.seconds:g}, quick {QUICK.seconds:g})")  # fmt: skip
    parser.add_argument("--repeats", type=int, help=f"rounds of each closed loop (default: {FULL.repeats}, quick {QUICK.repeats})")  # fmt: skip
    parser.add_argument("--out", type=Path, default=RESULT, help="JSON to write, and a chart beside it (default: %(default)s)")  # fmt: skip
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers are stopped then too
    scope = QUICK if options.quick else FULL
    given = {name: getattr(options, name) for name in ("seconds", "repeats") if getattr(options, name) is not None}
    scope = dataclasses.replace(scope, **given)
    if scope.seconds <= 0 or scope.repeats < 1:
        raise CommentwiseError("--seconds must be more than 0, and --repeats 1 or more")
    if options.checkpoint and not (options.checkpoint / "config.json").exists():
        raise CommentwiseError(f"--checkpoint {options.checkpoint} has no config.json: name a folder as transformers writes it")  # fmt: skip
    result = {**run_facts("benchmarks.servers"), **compare(options, scope)}
    write_json(options.out, result)
    _draw(result, options.out.with_suffix(".png"))
    show(result, Console())


def compare(options: argparse.Namespace, scope: Scope) -> dict[str, Any]:
    """Measure every server in turn, and the engine before, between and after them."""
    classifier = Classifier(options.bundle, "cpu")
    comments = draw(read_column(options.data, options.column), classifier)
    print(f"serving: {len(comments)} comments; the engine alone comes first", flush=True)
    engine = [measure_engine(classifier, comments, scope.seconds)]
    servers: dict[str, dict[str, Any]] = {}
    for server in contenders(options.bundle, options.checkpoint):
        measured = _measured(server, comments, classifier, scope)
        if "closed" in measured:
            engine.append(measure_engine(classifier, comments, scope.seconds))
            beside = statistics.mean(facts["comments_per_second"] for facts in engine[-2:])
            measured |= {
                "engine_beside": round(beside, 1),
                "share_of_engine": round(measured["peak_per_second"] / beside, 3),
            }
        servers[server.name] = measured
        print(f"serving: {server.name}: {outcome(measured)}", flush=True)
    return {
        "environment": _environment(),
        "git": git_facts() | {"serving_changed": _changed()},
        "bundle": _bundle_facts(classifier),
        "comments": _comment_facts(options, comments, classifier),
        "seed": SEED,
        "seconds": scope.seconds,
        "repeats": scope.repeats,
        "engine": {"rounds": engine, **_median(engine)},
        "servers": servers,
    }


def measure_engine(classifier: Classifier, comments: Sequence[str], seconds: float) -> dict[str, Any]:
    """Time the engine in this process: comments/s in large calls, and the latency of one comment at a time."""
    chunks = itertools.cycle([comments[start : start + CHUNK] for start in range(0, len(comments), CHUNK)])
    classifier.predict(next(chunks))  # warm-up
    done, cpu, start = 0, time.process_time(), time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        done += len(classifier.predict(next(chunks)))
    cpu = time.process_time() - cpu
    return {
        "comments_per_second": round(done / elapsed, 1),
        "cpu_ms_per_comment": round(1000 * cpu / done, 3),
        "latency_ms": _engine_latency(classifier, comments, seconds),
    }


def _engine_latency(classifier: Classifier, comments: Sequence[str], seconds: float) -> dict[str, float] | None:
    latencies = []
    end = time.perf_counter() + seconds
    for comment in itertools.cycle(comments):
        start = time.perf_counter()
        if start > end:
            break
        classifier.predict([comment])
        latencies.append(1000 * (time.perf_counter() - start))
    return percentiles_ms(latencies)


def _measured(server: Server, comments: Sequence[str], classifier: Classifier, scope: Scope) -> dict[str, Any]:
    """What was measured of one server, or why it is missing or how it failed."""
    facts: dict[str, Any] = {"what": server.what}
    try:
        with running(server) as started:
            return facts | measure(server, started, comments, classifier, scope)
    except Missing as error:
        return facts | {"missing": str(error)}
    except CommentwiseError as error:
        return facts | {"failed": str(error)}


def _median(engine: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("comments_per_second", "cpu_ms_per_comment")
    medians = {name: statistics.median(facts[name] for facts in engine) for name in names}
    return {**medians, "latency_ms": median_latency(engine)}


def _environment() -> dict[str, Any]:
    facts = environment_facts()
    facts["packages"] |= {package: version(package) for package in ("litserve", "fastapi", "uvicorn", "uvloop")}
    lines = INFINITY_REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return facts | {"infinity": [line for line in lines if line and not line.startswith("#")]}


def _changed() -> list[str]:
    """Files of the server and of this benchmark that differ from the commit."""
    command = [
        "git",
        "status",
        "--porcelain",
        "--",
        "commentwise",
        "comments",
        "models",
        "serving",
        "benchmarks/servers",
    ]
    status = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return sorted(line[3:] for line in status.splitlines())


def _bundle_facts(classifier: Classifier) -> dict[str, Any]:
    manifest = classifier.manifest
    return {
        "id": bundle_id(classifier.folder),
        "family": manifest.family,
        "graph": classifier.graph,
        "max_tokens": manifest.max_tokens,
    }


def _comment_facts(options: argparse.Namespace, comments: Sequence[str], classifier: Classifier) -> dict[str, Any]:
    lengths = [len(encoding.ids) for encoding in classifier.tokenizer.encode_batch(list(comments))]
    return {
        "file": str(options.data),
        "count": len(comments),
        "seed": SEED,
        "mean_tokens": round(statistics.mean(lengths), 1),
        "median_tokens": statistics.median(lengths),
        "longest_tokens": max(lengths),
    }


def _draw(result: dict[str, Any], path: Path) -> None:
    try:
        from benchmarks.report.charts import draw_serving
    except ImportError:
        print(f"no {path}: matplotlib is not installed")
        return
    draw_serving(result, path)


if __name__ == "__main__":
    run_command(main)

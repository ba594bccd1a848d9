"""Compare our server with its peers over HTTP, and with the engine in process, on the same model and real comments.

  python -m benchmarks.servers --bundle artifacts/bundle --data comments.csv --column Comment --checkpoint FOLDER

Every server runs in its own process and gets one comment per request. Servers run one after the other, with the engine
before and after each; a server's share is of the mean of these two, since the speed of a machine drifts. Closed-loop
figures are medians of several rounds. Comments are sent normalised and truncated as the bundle truncates them, so that
all servers see the same tokens. The checkpoint is the bundle's model in the form that transformers loads, such as
artifacts/candidates/bert/model; without it, the peers that need it are reported as missing. The open loop raises its
rate until the goodput, the requests answered within a second, has clearly fallen. It takes about 8 minutes; run it on
an otherwise idle machine.
"""

import argparse
import itertools
import signal
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from benchmarks.latency import Latency, median_latency, percentiles_ms
from benchmarks.result import Environment, Failed, Missing, Unavailable
from benchmarks.run_facts import run_facts
from benchmarks.samples import SEED, draw, read_column
from benchmarks.servers.console import show, summary
from benchmarks.servers.contenders import INFINITY_REQUIREMENTS, contenders
from benchmarks.servers.loops import FULL, QUICK, Scope, measure
from benchmarks.servers.result import Bundle, Comments, Engine, EngineRound, Loops, ServerRow, ServingResult
from benchmarks.servers.running import Server, running
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import write_json
from commentwise.models.bundle import Classifier, bundle_id

RESULT = Path("benchmarks/results/serving.json")
CHUNK = 256
"""Comments per call when the engine is timed: enough that cores idling at the end of a call do not matter."""


def main() -> None:
    """Measure all servers, write result and chart, and print the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.servers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, default=Path("artifacts/bundle"), help="folder (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=Path("data/sample/comments.jsonl"), help="file with comments (default: %(default)s)")  # fmt: skip
    parser.add_argument("--column", default="text", help="its column with the texts (default: %(default)s)")
    parser.add_argument(
        "--checkpoint", type=Path, help="folder of the bundle's model in the form that transformers loads"
    )
    parser.add_argument("--quick", action="store_true", help="check in about a minute that everything works")
    parser.add_argument("--seconds", type=float, help=f"length of one measurement (default: {FULL.seconds:g}, quick {QUICK.seconds:g})")  # fmt: skip
    parser.add_argument("--repeats", type=int, help=f"rounds of each closed loop (default: {FULL.repeats}, quick {QUICK.repeats})")  # fmt: skip
    parser.add_argument("--out", type=Path, default=RESULT, help="JSON to write, with a chart beside it (default: %(default)s)")  # fmt: skip
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that servers are stopped too
    scope = QUICK if options.quick else FULL
    given = {name: getattr(options, name) for name in ("seconds", "repeats") if getattr(options, name) is not None}
    scope = replace(scope, **given)
    if scope.seconds <= 0 or scope.repeats < 1:
        raise CommentwiseError("--seconds must be more than 0, and --repeats 1 or more")
    if options.checkpoint and not (options.checkpoint / "config.json").exists():
        raise CommentwiseError(f"--checkpoint {options.checkpoint} has no config.json: name a folder as transformers writes it")  # fmt: skip
    result = compare(options, scope)
    write_json(options.out, result)
    _draw(result, options.out.with_suffix(".png"))
    show(result, Console())


def compare(options: argparse.Namespace, scope: Scope) -> ServingResult:
    """Measure every server in turn, with the engine before, between and after them."""
    classifier = Classifier(options.bundle, "cpu")
    comments = draw(read_column(options.data, options.column), classifier)
    print(f"serving: {len(comments)} comments; the engine in process comes first", flush=True)
    engine = [measure_engine(classifier, comments, scope.seconds)]
    servers: dict[str, ServerRow] = {}
    for server in contenders(options.bundle, options.checkpoint):
        loops = _measured(server, comments, classifier, scope)
        if "closed" in loops:
            engine.append(measure_engine(classifier, comments, scope.seconds))
            beside = statistics.mean(round_["comments_per_second"] for round_ in engine[-2:])
            servers[server.name] = {
                "what": server.description,
                **loops,
                "engine_beside": round(beside, 1),
                "share_of_engine": round(loops["peak_per_second"] / beside, 3),
            }
        elif "missing" in loops:
            servers[server.name] = {"what": server.description, "missing": loops["missing"]}
        else:
            servers[server.name] = {"what": server.description, "failed": loops["failed"]}
        print(f"serving: {server.name}: {summary(servers[server.name])}", flush=True)
    head = run_facts("benchmarks.servers")
    head["environment"] = _with_servers(head["environment"])
    head["git"]["serving_changed"] = _changed()
    return {
        **head,
        "bundle": _bundle_facts(classifier),
        "comments": _comment_facts(options.data, comments, classifier),
        "seed": SEED,
        "seconds": scope.seconds,
        "repeats": scope.repeats,
        "engine": _median(engine),
        "servers": servers,
    }


def measure_engine(classifier: Classifier, comments: Sequence[str], seconds: float) -> EngineRound:
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


def _engine_latency(classifier: Classifier, comments: Sequence[str], seconds: float) -> Latency | None:
    latencies = []
    end = time.perf_counter() + seconds
    for comment in itertools.cycle(comments):
        start = time.perf_counter()
        if start > end:
            break
        classifier.predict([comment])
        latencies.append(1000 * (time.perf_counter() - start))
    return percentiles_ms(latencies)


def _measured(
    server: Server, comments: Sequence[str], classifier: Classifier, scope: Scope
) -> Loops | Missing | Failed:
    try:
        with running(server) as started:
            return measure(server, started, comments, classifier, scope)
    except Unavailable as error:
        return {"missing": str(error)}
    except CommentwiseError as error:
        return {"failed": str(error)}


def _median(rounds: list[EngineRound]) -> Engine:
    return {
        "rounds": rounds,
        "comments_per_second": statistics.median(round_["comments_per_second"] for round_ in rounds),
        "cpu_ms_per_comment": statistics.median(round_["cpu_ms_per_comment"] for round_ in rounds),
        "latency_ms": median_latency([round_["latency_ms"] for round_ in rounds]),
    }


def _with_servers(environment: Environment) -> Environment:
    """The environment with the versions of the server packages, infinity's included."""
    servers = {package: version(package) for package in ("litserve", "fastapi", "uvicorn", "uvloop")}
    lines = INFINITY_REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return {
        "python": environment["python"],
        "system": environment["system"],
        "packages": environment["packages"] | servers,
        "infinity": [line for line in lines if line and not line.startswith("#")],
    }


def _changed() -> list[str]:
    """Files of the server and of this benchmark that differ from the commit."""
    folders = ["commentwise", "comments", "models", "serving", "benchmarks/servers"]
    command = ["git", "status", "--porcelain", "--", *folders]
    status = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return sorted(line[3:] for line in status.splitlines())


def _bundle_facts(classifier: Classifier) -> Bundle:
    manifest = classifier.manifest
    return {
        "id": bundle_id(classifier.folder),
        "family": manifest.family,
        "graph": classifier.graph,
        "max_tokens": manifest.max_tokens,
    }


def _comment_facts(data: Path, comments: Sequence[str], classifier: Classifier) -> Comments:
    lengths = [len(encoding.ids) for encoding in classifier.tokenizer.encode_batch(list(comments))]
    return {
        "file": str(data),
        "count": len(comments),
        "seed": SEED,
        "mean_tokens": round(statistics.mean(lengths), 1),
        "median_tokens": statistics.median(lengths),
        "longest_tokens": max(lengths),
    }


def _draw(result: ServingResult, path: Path) -> None:
    try:
        from benchmarks.report.charts import draw_serving
    except ImportError:
        print(f"no {path}: matplotlib is not installed")
        return
    draw_serving(result, path)


if __name__ == "__main__":
    run_command(main)

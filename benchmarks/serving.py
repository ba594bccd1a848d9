"""Serving speed: our server and its peers over HTTP, next to the engine alone, with the same model and real comments.

  python -m benchmarks.serving --bundle artifacts/bundle --data comments.csv --column Comment --checkpoint FOLDER

Every server runs as a real process and gets one comment per request. Servers run one after the other, the engine before
and after each of them: a server's ratio is to the mean of these two, since machines drift. Closed-loop figures are
medians of several rounds. Comments are sent normalised and cut where the bundle cuts them, so that all servers see the
same tokens. CHECKPOINT is the bundle's model as transformers reads it, e.g. artifacts/candidates/bert/model; without it
the peers that need it are named as missing. Run it on a quiet machine.
"""

import argparse
import itertools
import random
import shlex
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.load import Plan, generate, percentiles_ms
from benchmarks.servers import INFINITY_REQUIREMENTS, OURS, Missing, Running, Server, contenders, running
from benchmarks.serving_table import outcome, show
from models.bundle import Classifier, bundle_id
from models.cores import available_cores
from models.errors import CommentwiseError, run_command
from models.files import write_json
from models.normalize import normalize
from training.provenance import environment_facts, git_facts
from training.resources import processor_name
from training.settings import load_settings
from training.sources import read_rows

RESULT = Path("benchmarks/results/serving.json")
SEED = 20
COMMENTS, BLOCK = 1024, 32
CHUNK = 256
"""Comments per call when the engine is timed: many enough that a core which waits for the last one does not count."""
AGREEMENT_COMMENTS = 200
CONNECTIONS, ALL_CONNECTIONS = (1, 32), (1, 8, 32, 128)
OPEN_RATES = (0.5, 0.8, 1, 1.5, 3)
"""Arrival rates of the open loop, as shares of the closed loop's peak."""
OPEN_CONNECTIONS = 900
"""Fits the 1,024 files that a process may usually have open, on both sides."""


def main() -> None:
    """Measure what the command line names, write figures and chart, and print them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, default=Path("artifacts/bundle"), help="folder (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=Path("data/sample/comments.jsonl"), help="file with comments (default: %(default)s)")  # fmt: skip
    parser.add_argument("--column", default="text", help="its column with the texts (default: %(default)s)")
    parser.add_argument("--checkpoint", type=Path, help="folder of the bundle's model as transformers reads it")
    parser.add_argument("--seconds", type=float, default=10, help="length of one measurement (default: %(default)g)")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of each closed loop (default: %(default)s)")
    parser.add_argument("--full", action="store_true", help="also 8 and 128 connections, and the open loop for all")
    parser.add_argument("--out", type=Path, default=RESULT, help="JSON to write, and a chart beside it (default: %(default)s)")  # fmt: skip
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers are stopped then too
    if options.seconds <= 0 or options.repeats < 1:
        raise CommentwiseError("--seconds must be more than 0, and --repeats 1 or more")
    if options.checkpoint and not (options.checkpoint / "config.json").exists():
        raise CommentwiseError(f"--checkpoint {options.checkpoint} has no config.json: name a folder as transformers writes it")  # fmt: skip
    result = compare(options)
    result["command"] = shlex.join(["python", "-m", "benchmarks.serving", *sys.argv[1:]])
    write_json(options.out, result)
    _draw(result, options.out.with_suffix(".png"))
    show(result, Console())


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every server in turn, and the engine before, between and after them."""
    classifier = Classifier(options.bundle, "cpu")
    comments = draw(_texts(options.data, options.column), classifier)
    print(f"serving: {len(comments)} comments; the engine alone comes first", flush=True)
    engine = [measure_engine(classifier, comments, options.seconds)]
    servers: dict[str, dict[str, Any]] = {}
    for server in contenders(options.bundle, options.checkpoint):
        measured = _measured(server, comments, classifier, options)
        if "closed" in measured:
            engine.append(measure_engine(classifier, comments, options.seconds))
            beside = statistics.mean(facts["comments_per_second"] for facts in engine[-2:])
            measured |= {
                "engine_beside": round(beside, 1),
                "share_of_engine": round(measured["peak_per_second"] / beside, 3),
            }
        servers[server.name] = measured
        print(f"serving: {server.name}: {outcome(measured)}", flush=True)
    return {
        "machine": {"processor": processor_name(), "cores": available_cores()},
        "environment": _environment(),
        "git": git_facts() | {"serving_changed": _changed()},
        "bundle": _bundle_facts(classifier),
        "comments": _comment_facts(options, comments, classifier),
        "seconds": options.seconds,
        "repeats": options.repeats,
        "engine": {"rounds": engine, **_median(engine)},
        "servers": servers,
    }


def draw(texts: Sequence[str], classifier: Classifier) -> list[str]:
    """Draw comments with a seed, as they are sent, in an order that is fair to slow servers.

    Every block of 32 has one comment from each 32nd of the lengths: however few a server gets through, they are as
    long as everybody's. Raises CommentwiseError when there are too few.
    """
    chance = random.Random(SEED)
    usable = [text for text in (_as_sent(text, classifier) for text in texts) if text]
    stratum = min(COMMENTS, len(usable)) // BLOCK
    if not stratum:
        raise CommentwiseError(f"there are {len(usable)} comments with text, and {BLOCK} are needed: name a larger --data")  # fmt: skip
    drawn = sorted(chance.sample(usable, stratum * BLOCK), key=len)
    strata = [chance.sample(drawn[start : start + stratum], stratum) for start in range(0, len(drawn), stratum)]
    return [comment for block in zip(*strata, strict=True) for comment in chance.sample(block, BLOCK)]


def _as_sent(text: str, classifier: Classifier) -> str:
    normalized = normalize(text)
    return normalized[: max(end for _, end in classifier.tokenizer.encode(normalized).offsets)]


def _texts(path: Path, column: str) -> list[str]:
    rows = list(read_rows(load_settings().data.model_copy(update={"path": str(path), "hub": None})))
    if not rows or column not in rows[0]:
        names = ", ".join(rows[0]) if rows else "no rows"
        raise CommentwiseError(f"{path} has no column {column!r} (it has {names}): name one with --column")
    return [str(row[column] or "") for row in rows]


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


def _measured(
    server: Server, comments: Sequence[str], classifier: Classifier, options: argparse.Namespace
) -> dict[str, Any]:
    """What was measured of one server, or why it is missing or how it failed."""
    facts: dict[str, Any] = {"what": server.what}
    try:
        with running(server) as started:
            return facts | _measure(server, started, comments, classifier, options)
    except Missing as error:
        return facts | {"missing": str(error)}
    except CommentwiseError as error:
        return facts | {"failed": str(error)}


def _measure(
    server: Server, started: Running, comments: Sequence[str], classifier: Classifier, options: argparse.Namespace
) -> dict[str, Any]:
    asked = comments[:AGREEMENT_COMMENTS]
    expected = [prediction.label for prediction in classifier.predict(asked)]
    alike = sum(found == label for found, label in zip(started.labels(asked), expected, strict=True))
    bodies = [server.body(comment) for comment in comments]
    every = ALL_CONNECTIONS if options.full else CONNECTIONS
    generate(Plan(started.url, bodies, min(options.seconds, 3), max(every)))  # warm-up
    rounds = [
        {count: _closed_round(started, bodies, count, options.seconds) for count in every}
        for _ in range(options.repeats)
    ]
    closed = {str(count): _closed_summary([found[count] for found in rounds]) for count in every}
    peak = max(found["requests_per_second"] for found in closed.values())
    if not peak:
        raise CommentwiseError(f"it answered one comment at a time, and none under load: {closed}")
    measured = {
        "labels_alike": round(alike / len(asked), 4),
        "labels_compared": len(asked),
        "peak_per_second": peak,
        "closed": closed,
    }
    if options.full or server.name == OURS:
        measured["open"] = [_open_round(started, bodies, share, peak, options.seconds) for share in OPEN_RATES]
    return measured


def _closed_round(started: Running, bodies: list[str], connections: int, seconds: float) -> dict[str, Any]:
    cpu = started.cpu_seconds()
    report = generate(Plan(started.url, bodies, seconds, connections))
    answers = max(1, sum(report["statuses"].values()))
    return report | {
        "server_cpu_ms_per_request": round(1000 * (started.cpu_seconds() - cpu) / answers, 3),
        "server_memory_mb": round(started.memory_mb(), 1),
    }


def _closed_summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds, and sums of what went wrong."""
    statuses = sum((Counter(found["statuses"]) for found in rounds), Counter[str]())
    return {
        "requests_per_second": statistics.median(found["accepted_per_second"] for found in rounds),
        "rounds": [found["accepted_per_second"] for found in rounds],
        "latency_ms": _median_latency(rounds),
        "statuses": dict(statuses),
        **{name: sum(found[name] for found in rounds) for name in ("lost", "refused", "unanswered")},
        **{
            name: statistics.median(found[name] for found in rounds)
            for name in ("server_cpu_ms_per_request", "server_memory_mb", "generator_cpu_us_per_request")
        },
    }


def _open_round(started: Running, bodies: list[str], share: float, peak: float, seconds: float) -> dict[str, Any]:
    """One arrival rate; the report's accepted requests per second are the goodput."""
    report = generate(Plan(started.url, bodies, seconds, OPEN_CONNECTIONS, share * peak))
    started.check()
    return {
        "rate_over_peak": share,
        "rate": round(share * peak, 1),
        "goodput_over_peak": round(report["accepted_per_second"] / peak, 3),
        "status_shares": {code: round(count / report["due"], 4) for code, count in report["statuses"].items()},
        **report,
    }


def _median(engine: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("comments_per_second", "cpu_ms_per_comment")
    medians = {name: statistics.median(facts[name] for facts in engine) for name in names}
    return {**medians, "latency_ms": _median_latency(engine)}


def _median_latency(rounds: Sequence[dict[str, Any]]) -> dict[str, float] | None:
    found = [facts["latency_ms"] for facts in rounds if facts["latency_ms"]]
    return {name: statistics.median(latency[name] for latency in found) for name in found[0]} if found else None


def _environment() -> dict[str, Any]:
    facts = environment_facts()
    facts["packages"] |= {package: version(package) for package in ("litserve", "fastapi", "uvicorn", "uvloop")}
    lines = INFINITY_REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return facts | {"infinity": [line for line in lines if line and not line.startswith("#")]}


def _changed() -> list[str]:
    """Files of the server and of this benchmark that differ from the commit."""
    command = ["git", "status", "--porcelain", "--", "serving", "benchmarks/*.py", "benchmarks/peers"]
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
        from benchmarks.charts import draw_serving
    except ImportError:
        print(f"no {path}: matplotlib is not installed")
        return
    draw_serving(result, path)


if __name__ == "__main__":
    run_command(main)

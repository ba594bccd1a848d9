"""Measure the cost of the prediction log: the server with and without it, on the same comments.

  python -m benchmarks.servers.log_cost --bundle artifacts/bundle

Both servers run side by side with their caches off. Pairs of closed-loop rounds go to both, in alternating order, so
that other load on the machine affects both alike. The cost is the median over pairs of the change in requests per
second, and in CPU time per request of all processes, the log's writer included.
"""

import argparse
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

from benchmarks.run_facts import commit_facts, machine_facts
from benchmarks.samples import draw
from benchmarks.servers.contenders import ours
from benchmarks.servers.load import Plan, generate
from benchmarks.servers.result import Difference, LogCost, LogPair, LogRound
from benchmarks.servers.running import Running, Server, running
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import write_json
from commentwise.models.bundle import Classifier
from commentwise.training.data.sources import read_rows
from commentwise.training.project import Project
from commentwise.training.settings import load_settings

RESULT = Path("benchmarks/results/log_cost.json")
CONNECTIONS = 32
WARM_UP_SECONDS = 3


def main() -> None:
    """Measure the cost, write the result and print it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.servers.log_cost",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", type=Path, default=Path("artifacts/bundle"), help="folder (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="length of one round (default: %(default)g)")
    parser.add_argument("--pairs", type=int, default=10, help="rounds of each server (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULT, help="JSON to write (default: %(default)s)")
    options = parser.parse_args()
    if options.seconds <= 0 or options.pairs < 1:
        raise CommentwiseError("--seconds must be more than 0, and --pairs 1 or more")
    result = compare(options.bundle, options.seconds, options.pairs)
    write_json(options.out, result)
    throughput, processor_time = _written(result["throughput"]), _written(result["processor_time"])
    print(f"log_cost: throughput {throughput}, CPU time per request {processor_time}")


def _written(difference: Difference) -> str:
    return f"{difference['median']:+.1%} ({difference['low']:+.1%} to {difference['high']:+.1%})"


def compare(bundle: Path, seconds: float, pairs: int) -> LogCost:
    """Measure the relative differences that the log makes, pair by pair."""
    plain = ours(bundle)
    texts = [str(row["text"]) for row in read_rows(load_settings(Project().params).data) if row]
    bodies = [plain.body(comment) for comment in draw(texts, Classifier(bundle, "cpu"))]
    with (
        tempfile.TemporaryDirectory() as folder,
        running(plain) as without,
        running(_logging(plain, f"sqlite:///{folder}/predictions.db")) as logging,
    ):
        for server in (without, logging):
            generate(Plan(server.url, bodies, WARM_UP_SECONDS, CONNECTIONS))
        rounds: list[LogPair] = []
        for number in range(pairs):
            order = (without, logging) if number % 2 else (logging, without)
            found = {server: _round(server, bodies, seconds) for server in order}
            rounds.append({"without": found[without], "logging": found[logging]})
    return {
        "machine": machine_facts(),
        "git": commit_facts(),
        "seconds": seconds,
        "throughput": _difference(rounds, "requests_per_second"),
        "processor_time": _difference(rounds, "cpu_ms_per_request"),
        "rounds": rounds,
    }


def _logging(server: Server, url: str) -> Server:
    return replace(server, command=lambda port: [*server.command(port), "--prediction-log", url])


def _round(server: Running, bodies: list[str], seconds: float) -> LogRound:
    cpu = server.cpu_seconds()
    report = generate(Plan(server.url, bodies, seconds, CONNECTIONS))
    answers = report["statuses"].get("200", 0)
    if not answers or len(report["statuses"]) > 1:
        raise CommentwiseError(f"requests failed: {report['statuses']}")
    return {
        "requests_per_second": report["accepted_per_second"],
        "cpu_ms_per_request": 1000 * (server.cpu_seconds() - cpu) / answers,
    }


def _difference(rounds: list[LogPair], figure: Literal["requests_per_second", "cpu_ms_per_request"]) -> Difference:
    """The relative change of a figure with the log: median and quartiles over pairs."""
    shares = sorted(found["logging"][figure] / found["without"][figure] - 1 for found in rounds)
    low, middle, high = statistics.quantiles(shares, n=4) if len(shares) > 1 else shares * 3
    return {"median": middle, "low": low, "high": high}


if __name__ == "__main__":
    run_command(main)

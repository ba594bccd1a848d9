"""Cost as work grows: comments to score, examples to train on, workers to serve with.

  python -m benchmarks.scale --bundle artifacts/bundle --data comments.csv --column Comment --label-column Sentiment

What is scored is measured as people run it, the whole of `python -m commentwise.serving.batch.score` with the bundle and with a linear
model that is trained here: its time, and the most memory it had. Training is measured without the loading of libraries,
serving with more and more workers of one thread. A size that would take longer than --budget seconds, going by the
sizes before, is left out and says so. It takes about 3 minutes on 2 cores.
"""

import argparse
import signal
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.run_facts import run_facts
from benchmarks.samples import SEED, draw, read_column
from benchmarks.scale.tasks import LINEAR, Examples, linear_bundle, score, train_bert, train_linear
from benchmarks.servers.contenders import ours
from benchmarks.servers.loops import Scope, measure_closed
from benchmarks.servers.process import running
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import write_json
from commentwise.models.bundle import MANIFEST, Classifier, Manifest
from commentwise.models.cores import available_cores

RESULT = Path("benchmarks/results/scale.json")
SMALLEST = 1000
"""Comments to score; every further size is ten times the one before."""
CONNECTIONS = 32


@dataclass(frozen=True)
class Sizes:
    """How much is trained and served."""

    bert: Sequence[int]
    linear: Sequence[int]
    """Examples to train on."""
    families: Sequence[str]
    """The linear ones."""
    workers: Sequence[int]
    serving: Scope


def doubled(first: int, most: int) -> list[int]:
    """The numbers from `first` to at the most `most`, each twice the one before."""
    return [] if first > most else [first, *doubled(2 * first, most)]


FULL = Sizes(doubled(250, 1000), doubled(250, 16_000), LINEAR, doubled(1, 2 * available_cores()), Scope(2, 3, (CONNECTIONS,), (), 0))  # fmt: skip
QUICK = Sizes([100], [250], LINEAR[:1], [1], Scope(0.7, 1, (CONNECTIONS,), (), 0))


def main() -> None:
    """Measure what the command line names and write the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--bundle", type=Path, default=Path("artifacts/bundle"), help="folder (default: %(default)s)")
    add("--data", type=Path, default=Path("data/sample/comments.jsonl"), help="file with comments (default: %(default)s)")  # fmt: skip
    add("--column", default="text", help="its column with the texts (default: %(default)s)")
    add("--label-column", default="label", help="its column with the labels (default: %(default)s)")
    add("--largest", type=int, help="most comments to score (default: 1000000, quick 1000)")
    add("--budget", type=float, default=200, help="most seconds that one size may take (default: %(default)g)")
    add("--quick", action="store_true", help="only show in half a minute that everything works")
    add("--out", type=Path, default=RESULT, help="JSON to write (default: %(default)s)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is stopped then too
    sizes = QUICK if options.quick else FULL
    largest = options.largest or (SMALLEST if options.quick else 1000 * SMALLEST)
    if largest < SMALLEST or options.budget <= 0:
        raise CommentwiseError(f"--largest must be {SMALLEST} or more, and --budget more than 0")
    texts = read_column(options.data, options.column)
    examples = Examples.read(options.data, options.column, options.label_column)
    if examples.most < sizes.linear[0]:
        needed = sizes.linear[0] - examples.most
        raise CommentwiseError(
            f"{options.data} has {needed} labelled comments too few to train on: name a larger --data"
        )
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        folder = Path(name)
        training = measure_training(examples, sizes, options.budget, folder)
        bundles = [options.bundle]
        if Manifest.from_json(options.bundle / MANIFEST).family not in LINEAR:
            bundles.append(linear_bundle(sizes.families[-1], folder / sizes.families[-1], folder / "bundle"))
        scoring = measure_scoring(bundles, texts, largest, options.budget, folder)
    result = {
        **run_facts("benchmarks.scale"),
        "seed": SEED,
        "rounds": sizes.serving.repeats,
        "seconds": sizes.serving.seconds,
        "budget_seconds": options.budget,
        "scoring": scoring,
        "training": training,
        "workers": measure_workers(options.bundle, texts, sizes),
    }
    write_json(options.out, result)
    print(f"scale: written to {options.out}")


def measure_training(examples: Examples, sizes: Sizes, budget: float, folder: Path) -> list[dict[str, Any]]:
    """Seconds by number of examples; the largest model of each linear family lies in `folder` then."""
    rows = growing({"family": "bert"}, sizes.bert, budget, lambda count: train_bert(count, folder))
    for family in sizes.families:

        def train(count: int, family: str = family) -> dict[str, Any]:
            return train_linear(family, examples, count, folder)

        rows += growing({"family": family}, sizes.linear, budget, train, most=examples.most)
    return rows


def measure_scoring(
    bundles: Sequence[Path], texts: Sequence[str], largest: int, budget: float, folder: Path
) -> list[dict[str, Any]]:
    """Seconds and memory by number of comments, for every bundle."""
    counts = [SMALLEST * 10**power for power in range(len(str(largest // SMALLEST)))]
    rows = []
    for bundle in bundles:
        name = Manifest.from_json(bundle / MANIFEST).family

        def measure(count: int, bundle: Path = bundle) -> dict[str, Any]:
            return score(bundle, texts, count, folder)

        rows += growing({"model": name}, counts, budget, measure)
    return rows


def growing(
    name: dict[str, str],
    counts: Sequence[int],
    budget: float,
    measure: Callable[[int], dict[str, Any]],
    most: int | None = None,
) -> list[dict[str, Any]]:
    """Measure numbers of comments, smallest first; each row has the name, the number and what was measured.

    A number that is more than there are (`most`), or that would take more than `budget` seconds if it cost as the last
    ones did, is left out and has the reason instead.
    """
    rows: list[dict[str, Any]] = []
    before, last = (0, 0.0), (0, 0.0)  # comments and seconds of the two sizes before
    for count in counts:
        per_comment = (last[1] - before[1]) / max(1, last[0] - before[0])
        expected = last[1] + per_comment * (count - last[0])
        if most is not None and count > most:
            found: dict[str, Any] = {"left_out": f"there are only {most}"}
        elif expected > budget:
            found = {"left_out": f"it would take about {expected:.0f} s, and the budget is {budget:g}"}
        else:
            found = measure(count)
            before, last = last, (count, found["seconds"])
        rows.append(name | {"comments": count} | found)
        outcome = f"left out: {found['left_out']}" if "left_out" in found else f"{found['seconds']:.1f} s"
        print(f"scale: {next(iter(name.values()))}, {count:,} comments: {outcome}", flush=True)
    return rows


def measure_workers(bundle: Path, texts: Sequence[str], sizes: Sizes) -> list[dict[str, Any]]:
    """Requests per second of our server by its inference processes, each with one thread."""
    comments = draw(texts, Classifier(bundle))
    rows = []
    for workers in sizes.workers:
        server = ours(bundle, ["--workers", str(workers), "--threads", "1"])
        bodies = [server.body(comment) for comment in comments]
        with running(server) as started:
            (found,) = measure_closed(started, bodies, sizes.serving).values()
        speed = found["requests_per_second"]
        rows.append({"workers": workers, "threads": 1, "requests_per_second": speed, "rounds": found["rounds"], "memory_mb": found["server_memory_mb"]})  # fmt: skip
        print(f"scale: {workers} workers: {speed:.0f} requests/s", flush=True)
    return rows


if __name__ == "__main__":
    run_command(main)

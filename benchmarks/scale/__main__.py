"""Measure cost as the work grows: comments to score, examples to train on, workers to serve with.

  python -m benchmarks.scale --bundle artifacts/bundle --data comments.csv --column Comment --label-column Sentiment

Scoring is measured as the whole command `commentwise score`, with the bundle and with a linear model trained here: its
time and its peak memory. Training is measured without the loading of libraries, and serving with a growing number of
workers of one thread each. A size that would take longer than --budget seconds, extrapolated from the sizes before, is
left out and reported as such. It takes about 3 minutes on 2 cores.
"""

import argparse
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.families import LINEAR
from benchmarks.run_facts import run_facts
from benchmarks.samples import SEED, draw, read_column
from benchmarks.scale.result import ScaleResult, Scored, ScoringLeftOut, Trained, TrainingLeftOut, Workers
from benchmarks.scale.work import Examples, linear_bundle, score, train_bert, train_linear
from benchmarks.servers.contenders import ours
from benchmarks.servers.loops import Scope, measure_closed
from benchmarks.servers.running import running
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import write_json
from commentwise.models.bundle import MANIFEST, Classifier, Manifest
from commentwise.models.cores import available_cores
from commentwise.training.project import Project
from commentwise.training.settings import load_settings

RESULT = Path("benchmarks/results/scale.json")
MIN_COMMENTS = 1000
"""Size of the smallest file to score; every further one is ten times as large."""
CONNECTIONS = 32

Work = TypeVar("Work", Scored, Trained)


@dataclass(frozen=True)
class Sizes:
    """The amounts of work to measure."""

    bert: Sequence[int]
    """Examples to train on."""
    linear: Sequence[int]
    """Examples to train on."""
    families: Sequence[str]
    """Linear families to train."""
    workers: Sequence[int]
    serving: Scope


def doubled(first: int, maximum: int) -> list[int]:
    """The numbers from `first` up to `maximum`, each twice the one before."""
    return [] if first > maximum else [first, *doubled(2 * first, maximum)]


FULL = Sizes(doubled(250, 1000), doubled(250, 16_000), LINEAR, doubled(1, 2 * available_cores()), Scope(2, 3, (CONNECTIONS,), (), 0))  # fmt: skip
QUICK = Sizes([100], [250], LINEAR[:1], [1], Scope(0.7, 1, (CONNECTIONS,), (), 0))


def main() -> None:
    """Measure scoring, training and serving, and write the result."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--bundle", type=Path, default=Path("artifacts/bundle"), help="folder (default: %(default)s)")
    add("--data", type=Path, default=Path("data/sample/comments.jsonl"), help="file with comments (default: %(default)s)")  # fmt: skip
    add("--column", default="text", help="its column with the texts (default: %(default)s)")
    add("--label-column", default="label", help="its column with the labels (default: %(default)s)")
    add("--largest", type=int, help="maximum number of comments to score (default: 1000000, quick 1000)")
    add("--budget", type=float, default=200, help="maximum seconds that one size may take (default: %(default)g)")
    add("--quick", action="store_true", help="check in half a minute that everything works")
    add("--out", type=Path, default=RESULT, help="JSON to write (default: %(default)s)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that child processes are stopped too
    sizes = QUICK if options.quick else FULL
    largest = options.largest or (MIN_COMMENTS if options.quick else 1000 * MIN_COMMENTS)
    if largest < MIN_COMMENTS or options.budget <= 0:
        raise CommentwiseError(f"--largest must be {MIN_COMMENTS} or more, and --budget more than 0")
    texts = read_column(options.data, options.column)
    settings = load_settings(Project().params)
    examples = Examples.read(options.data, options.column, options.label_column, settings.labels)
    if examples.max_train < sizes.linear[0]:
        raise CommentwiseError(
            f"{options.data} has {sizes.linear[0] - examples.max_train} labelled comments too few to train on: name a larger --data"
        )
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        folder = Path(name)
        training = list(measure_training(examples, sizes, options.budget, folder))
        bundles = [options.bundle]
        if Manifest.from_json(options.bundle / MANIFEST).family not in LINEAR:
            bundles.append(linear_bundle(Project(folder).candidate(sizes.families[-1]), settings, folder / "bundle"))
        scoring = list(measure_scoring(bundles, texts, largest, options.budget, folder))
    result: ScaleResult = {
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


def measure_training(
    examples: Examples, sizes: Sizes, budget: float, folder: Path
) -> Iterator[Trained | TrainingLeftOut]:
    """Seconds by number of examples; leaves the largest model of each linear family in `folder`."""
    for count, outcome in growing("bert", sizes.bert, budget, lambda count: train_bert(count, folder)):
        yield outcome if not isinstance(outcome, str) else {"family": "bert", "comments": count, "left_out": outcome}
    for family in sizes.families:

        def train(count: int, family: str = family) -> Trained:
            return train_linear(family, examples, count, folder)

        for count, outcome in growing(family, sizes.linear, budget, train, examples.max_train):
            yield outcome if not isinstance(outcome, str) else {"family": family, "comments": count, "left_out": outcome}  # fmt: skip


def measure_scoring(
    bundles: Sequence[Path], texts: Sequence[str], largest: int, budget: float, folder: Path
) -> Iterator[Scored | ScoringLeftOut]:
    """Seconds and memory by number of comments, for every bundle."""
    counts = [MIN_COMMENTS * 10**power for power in range(len(str(largest // MIN_COMMENTS)))]
    for bundle in bundles:
        family = Manifest.from_json(bundle / MANIFEST).family

        def measure(count: int, bundle: Path = bundle, family: str = family) -> Scored:
            return score(bundle, family, texts, count, folder)

        for count, outcome in growing(family, counts, budget, measure):
            yield outcome if not isinstance(outcome, str) else {"model": family, "comments": count, "left_out": outcome}


def growing(
    name: str, counts: Sequence[int], budget: float, measure: Callable[[int], Work], maximum: int | None = None
) -> Iterator[tuple[int, Work | str]]:
    """Measure growing numbers of comments; yield each number with its figures, or with the reason for leaving it out.

    A number above `maximum` is left out, and so is one that would take more than `budget` seconds if every further
    comment cost as much as those of the last step.
    """
    before, last = (0, 0.0), (0, 0.0)  # comments and seconds of the two sizes before
    for count in counts:
        per_comment = (last[1] - before[1]) / max(1, last[0] - before[0])
        expected = last[1] + per_comment * (count - last[0])
        outcome: Work | str
        if maximum is not None and count > maximum:
            outcome = f"there are only {maximum}"
        elif expected > budget:
            outcome = f"it would take about {expected:.0f} s, and the budget is {budget:g}"
        else:
            outcome = measure(count)
            before, last = last, (count, outcome["seconds"])
        said = f"left out: {outcome}" if isinstance(outcome, str) else f"{outcome['seconds']:.1f} s"
        print(f"scale: {name}, {count:,} comments: {said}", flush=True)
        yield count, outcome


def measure_workers(bundle: Path, texts: Sequence[str], sizes: Sizes) -> list[Workers]:
    """Requests per second of our server by its number of inference processes, each with one thread."""
    comments = draw(texts, Classifier(bundle))
    rows: list[Workers] = []
    for workers in sizes.workers:
        server = ours(bundle, ["--workers", str(workers), "--threads", "1"])
        bodies = [server.body(comment) for comment in comments]
        with running(server) as started:
            (loop,) = measure_closed(started, bodies, sizes.serving).values()
        speed = loop["requests_per_second"]
        rows.append({"workers": workers, "threads": 1, "requests_per_second": speed, "rounds": loop["rounds"], "memory_mb": loop["server_memory_mb"]})  # fmt: skip
        print(f"scale: {workers} workers: {speed:.0f} requests/s", flush=True)
    return rows


if __name__ == "__main__":
    run_command(main)

"""The headline figures of the result files, which the report, the comparison, MLflow and DVC show.

Speeds depend on the machine and its load at the time, so they are shown and not judged. Ratios of two speeds of one run
are judged, and so are figures that do not depend on the machine.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.datasets import NAMES, DatasetResult
from benchmarks.engines.result import EnginesResult, best_batch, engine_speed, measured_engines
from benchmarks.report.result_files import Results
from benchmarks.result import OURS, Rounds
from benchmarks.scale.result import FootprintResult, ScaleResult, by_workers, measured_footprints, scored
from benchmarks.servers.result import ServingResult, best_connections, measured_servers
from benchmarks.training.result import TrainingResult

SPEED_NOISE = 0.05
"""Minimum relative noise of a median of few rounds, even where the rounds differ by less."""
SINGLE_NOISE = 0.1
"""Relative noise of a figure that was measured once."""
POINTS_NOISE = 0.25
"""Points by which a quality score may change with retraining or requantisation alone."""
SIZE_NOISE = 0.01


@dataclass(frozen=True)
class Figure:
    """A named figure; a repeat on the same code may differ from its value by `noise`."""

    name: str
    value: float
    unit: str
    low: float
    high: float
    noise: float
    better: Literal["higher", "lower"] | None
    """None if it depends on the machine, and so is never judged."""


def figures(results: Results) -> dict[str, Figure]:
    """All headline figures of these results, by name."""
    found: dict[str, Figure] = {}

    def add(result: str, of_result: Iterable[Figure]) -> None:
        for figure in of_result:
            name = f"{result}/{figure.name}"
            found[name] = replace(figure, name=name)

    if "engines" in results:
        add("engines", _of_engines(results["engines"]))
    if "serving" in results:
        add("serving", _of_serving(results["serving"]))
    if "training" in results:
        add("training", _of_training(results["training"]))
    if "scale" in results:
        add("scale", _of_scale(results["scale"]))
    if "footprint" in results:
        add("footprint", _of_footprint(results["footprint"]))
    for name in NAMES:
        if name in results:
            add(name, _of_dataset(results[name]))
    return found


def _of_engines(result: EnginesResult) -> Iterator[Figure]:
    engines = measured_engines(result["engines"])
    for name, engine in engines.items():
        best = best_batch(engine)
        yield _speed(f"{name}/speed", best["comments_per_second"], best["rounds"], "comments/s")
        if result["pipeline"] in engines and name != result["pipeline"]:
            base = best_batch(engines[result["pipeline"]])
            paired = [ours / theirs for ours, theirs in zip(best["rounds"], base["rounds"], strict=False)]
            yield _ratio(f"{name}/against the pipeline", engine_speed(engine) / base["comments_per_second"], paired)
        yield _score(f"{name}/macro-F1 lost", 100 * engine["quality"]["f1_loss"], "points", "lower")
        yield _score(f"{name}/agreement with fp32", 100 * engine["quality"]["agreement"], "%", "higher")
        yield _exact(f"{name}/labels changed by neighbours", best["neighbour_label_changes"], "labels")
        yield _sized(f"{name}/size", engine["size"] / 1e6, "MB")
        share = engine["share_of_peak"]
        if share:
            shares = [100 * share * speed / engine_speed(engine) for speed in best["rounds"]]
            yield _ratio(f"{name}/share of the limit", 100 * share, shares, "%")
    for name, model in result["models"].items():
        score = model["macro_f1"]
        yield _score(f"{name}/macro-F1", 100 * score["value"], "points", "higher", 100 * score["low"], 100 * score["high"])  # fmt: skip


def _of_serving(result: ServingResult) -> Iterator[Figure]:
    servers = measured_servers(result["servers"])
    for name, server in servers.items():
        yield _speed(f"{name}/speed", server["peak_per_second"], best_connections(server)["rounds"], "requests/s")
    if OURS not in servers:
        return
    ours = servers[OURS]
    rounds, beside = best_connections(ours)["rounds"], ours["engine_beside"]
    yield _ratio(f"{OURS}/share of the engine", 100 * ours["share_of_engine"], [100 * r / beside for r in rounds], "%")
    for name, server in servers.items():
        if name != OURS:
            ratio = ours["peak_per_second"] / server["peak_per_second"]
            yield _ratio(f"{OURS}/against {name}", ratio, _extremes(rounds, best_connections(server)["rounds"]))
    yield _score(f"{OURS}/labels equal to the engine's", 100 * ours["labels_alike"], "%", "higher")
    yield _single(f"{OURS}/memory", max(loop["server_memory_mb"] for loop in ours["closed"].values()), "MB", "lower")


def _of_training(result: TrainingResult) -> Iterator[Figure]:
    contenders = result["contenders"]
    for name, contender in contenders.items():
        yield _speed(f"{name}/speed", contender["comments_per_second"], contender["range"], "comments/s")
    for name, ratio in result["ratios"].items():
        yield _ratio(f"{OURS}/against {name}", ratio, _extremes(contenders[OURS]["range"], contenders[name]["range"]))


def _of_scale(result: ScaleResult) -> Iterator[Figure]:
    for model, rows in scored(result).items():
        yield _single(f"scoring with {model}/speed", rows[-1]["comments_per_second"], "comments/s", None)
        yield _single(f"scoring with {model}/memory", rows[-1]["peak_memory_mb"], "MB", "lower")
    workers = by_workers(result)
    if len(workers) > 1:
        fewest, most = workers[0], workers[-1]
        ratio = most["requests_per_second"] / fewest["requests_per_second"]
        extremes = _extremes(most["rounds"], fewest["rounds"])
        yield _ratio(f"{most['workers']} workers/against {fewest['workers']}", ratio, extremes)


def _of_footprint(result: FootprintResult) -> Iterator[Figure]:
    servers = measured_footprints(result["servers"])
    if OURS not in servers:
        return
    ours = servers[OURS]
    yield _seconds(f"{OURS}/import_seconds", ours["import_seconds"])
    yield _seconds(f"{OURS}/ready_seconds", ours["ready_seconds"])
    for name, server in servers.items():
        if name != OURS:
            mine, theirs = ours["ready_seconds"], server["ready_seconds"]
            ratio = theirs["value"] / mine["value"]
            yield _ratio(f"{OURS}/ready sooner than {name}", ratio, _extremes(theirs["rounds"], mine["rounds"]))
    yield _single(f"{OURS}/memory", ours["memory_mb"], "MB", "lower")
    yield _sized(f"{OURS}/install", ours["install_mb"], "MB")


def _of_dataset(result: DatasetResult) -> Iterator[Figure]:
    for family, facts in result["families"].items():
        score = facts["test"]["scores"]["macro_f1"]
        yield _score(f"{family}/macro-F1", 100 * score["value"], "points", "higher", 100 * score["low"], 100 * score["high"])  # fmt: skip


def _extremes(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """The smallest and largest ratio of any two rounds."""
    return [min(ours) / max(theirs), max(ours) / min(theirs)]


def _seconds(name: str, seconds: Rounds) -> Figure:
    return _speed(name, seconds["value"], seconds["rounds"], "s")


def _speed(name: str, value: float, rounds: Sequence[float], unit: str) -> Figure:
    return Figure(name, value, unit, min(rounds), max(rounds), _spread(value, rounds), None)


def _ratio(name: str, value: float, rounds: Sequence[float], unit: str = "×") -> Figure:
    low, high = min(value, *rounds), max(value, *rounds)
    return Figure(name, value, unit, low, high, _spread(value, rounds), "higher")


def _spread(value: float, rounds: Sequence[float]) -> float:
    return max(SPEED_NOISE * value, *(abs(round_ - value) for round_ in rounds))


def _single(name: str, value: float, unit: str, better: Literal["higher", "lower"] | None) -> Figure:
    return Figure(name, value, unit, value, value, SINGLE_NOISE * value, better)


def _score(
    name: str,
    value: float,
    unit: str,
    better: Literal["higher", "lower"],
    low: float | None = None,
    high: float | None = None,
) -> Figure:
    """A quality score. Its interval comes from the sample of comments, which a repeat shares, so it is no noise."""
    return Figure(
        name, value, unit, value if low is None else low, value if high is None else high, POINTS_NOISE, better
    )


def _exact(name: str, value: float, unit: str) -> Figure:
    return Figure(name, value, unit, value, value, 0, "lower")


def _sized(name: str, value: float, unit: str) -> Figure:
    return Figure(name, value, unit, value, value, SIZE_NOISE * value, "lower")

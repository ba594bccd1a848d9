"""The headline figures in the benchmarks' result files: what the report, the comparison, MLflow and DVC all show.

Speeds depend on the machine and its hour, so they are told and not judged; what is judged are ratios of two speeds of
one run, and figures that no machine changes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from commentwise.errors import CommentwiseError
from commentwise.fileio import read_json

RESULTS = Path("benchmarks/results")
REPORT = RESULTS / "report"
COMMANDS = {
    "engines": "python -m benchmarks --only engines",
    "serving": "python -m benchmarks --only serving",
    "training": "python -m benchmarks --only training",
    "scale": "python -m benchmarks --only scale",
    "footprint": "python -m benchmarks --only footprint",
    "int8": "python -m benchmarks.engines.int8",
    "youtube": "python -m benchmarks.results youtube",
    "semeval2017": "python -m benchmarks.results semeval2017",
    "youtube_after_semeval": "python -m benchmarks.results youtube_after_semeval",
}
"""Every result file by its stem, and the command that writes it."""
DATASETS = ("youtube", "semeval2017", "youtube_after_semeval")
OURS = "commentwise"
PEAKS = {"fp32": "fp32_gflops", "bf16": "bf16_gflops", "int8": "int8_gops"}
"""The measured peak that the arithmetic of a precision is held against."""

SPEED_NOISE = 0.05
"""A median of few rounds may miss by this share, even where the rounds lie closer together."""
SINGLE_NOISE = 0.1
"""The same for what was measured once."""
POINTS_NOISE = 0.25
"""Points of a quality score that a retrained or requantised model may move by without meaning anything."""
SIZE_NOISE = 0.01


@dataclass(frozen=True)
class Figure:
    """A named figure; a repeat on the same code may lie `noise` away from its value."""

    name: str
    value: float
    unit: str
    low: float
    high: float
    noise: float
    better: Literal["higher", "lower"] | None
    """None: it depends on the machine, and is never judged."""


def read_results(folder: Path) -> dict[str, Any]:
    """The result files that are in a folder, by stem. Raises CommentwiseError for one that is no JSON object."""
    results = {}
    for name in COMMANDS:
        path = folder / f"{name}.json"
        if path.exists():
            results[name] = _read(path)
    return results


def _read(path: Path) -> Any:
    try:
        result = read_json(path)
    except ValueError as error:
        raise CommentwiseError(f"{path} is no JSON ({error}): write it again with its benchmark") from None
    if not isinstance(result, dict):
        raise CommentwiseError(f"{path} holds no JSON object: write it again with its benchmark")
    return result


def figures(results: dict[str, Any]) -> dict[str, Figure]:
    """All headline figures of these results, by name."""
    readers = {
        "engines": _of_engines,
        "serving": _of_serving,
        "training": _of_training,
        "scale": _of_scale,
        "footprint": _of_footprint,
        **dict.fromkeys(DATASETS, _of_dataset),
    }
    return {
        f"{name}/{figure.name}": Figure(**{**vars(figure), "name": f"{name}/{figure.name}"})
        for name, read in readers.items()
        if name in results
        for figure in read(results[name])
    }


def measured(rows: dict[str, Any], key: str) -> dict[str, Any]:
    """The rows that have figures under `key`: others are missing here, or failed."""
    return {name: row for name, row in rows.items() if key in row}


def growing(rows: Sequence[dict[str, Any]], key: str) -> dict[str, list[dict[str, Any]]]:
    """Rows by one of their fields, each group with the work growing; sizes that were left out are left out."""
    done = sorted((row for row in rows if "left_out" not in row), key=lambda row: int(row["comments"]))
    return {name: [row for row in done if row[key] == name] for name in dict.fromkeys(row[key] for row in done)}


def best_batch(engine: dict[str, Any]) -> dict[str, Any]:
    """What was measured of an engine the way it would be served."""
    facts: dict[str, Any] = engine["batches"][engine["best"]]
    return facts


def engine_speed(engine: dict[str, Any]) -> float:
    """Comments per second of an engine, the way it would be served."""
    return float(best_batch(engine)["comments_per_second"])


def speed_limit(result: dict[str, Any], precision: str) -> float | None:
    """Comments per second if the machine did nothing but this model's matrix products at its measured peak."""
    peak = result["peak"].get(PEAKS[precision])
    return 1e9 * peak["value"] / result["operations_per_comment"] if peak else None


def best_connections(server: dict[str, Any]) -> dict[str, Any]:
    """The closed loop in which a server answered most."""
    return max(server["closed"].values(), key=lambda facts: float(facts["requests_per_second"]))


def best_peer(result: dict[str, Any]) -> str | None:
    """The fastest server that is not ours."""
    peers = {
        name: row["peak_per_second"] for name, row in measured(result["servers"], "closed").items() if name != OURS
    }
    return max(peers, key=lambda name: peers[name]) if peers else None


def held_rate(rounds: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The open loop's highest rate of which at least 95% was answered in time."""
    held = [facts for facts in rounds if facts["good_per_second"] >= 0.95 * facts["rate"]]
    return max(held, key=lambda facts: float(facts["rate"]), default=None)


def _of_engines(result: dict[str, Any]) -> Iterator[Figure]:
    engines = measured(result["engines"], "batches")
    for name, engine in engines.items():
        best = best_batch(engine)
        yield _speed(f"{name}/speed", best["comments_per_second"], best["rounds"], "comments/s")
        if result["pipeline"] in engines and name != result["pipeline"]:
            base = best_batch(engines[result["pipeline"]])
            paired = [ours / theirs for ours, theirs in zip(best["rounds"], base["rounds"], strict=False)]
            yield _ratio(f"{name}/against the pipeline", engine_speed(engine) / base["comments_per_second"], paired)
        yield _score(f"{name}/macro-F1 lost", 100 * engine["quality"]["f1_loss"], "points", "lower")
        yield _score(f"{name}/agreement with fp32", 100 * engine["quality"]["agreement"], "%", "higher")
        yield _exact(f"{name}/labels that neighbours change", best["neighbour_label_changes"], "labels")
        yield _sized(f"{name}/size", engine["size"] / 1e6, "MB")
        if engine["share_of_peak"]:
            shares = [speed / engine_speed(engine) * engine["share_of_peak"] for speed in best["rounds"]]
            yield _ratio(f"{name}/share of the limit", 100 * engine["share_of_peak"], [100 * s for s in shares], "%")
    for name, model in result["models"].items():
        score = model["macro_f1"]
        yield _score(
            f"{name}/macro-F1", 100 * score["value"], "points", "higher", 100 * score["low"], 100 * score["high"]
        )


def _of_serving(result: dict[str, Any]) -> Iterator[Figure]:
    servers = measured(result["servers"], "closed")
    for name, server in servers.items():
        rounds = best_connections(server)["rounds"]
        yield _speed(f"{name}/speed", server["peak_per_second"], rounds, "requests/s")
    if OURS not in servers:
        return
    ours = servers[OURS]
    rounds, beside = best_connections(ours)["rounds"], ours["engine_beside"]
    yield _ratio(f"{OURS}/share of the engine", 100 * ours["share_of_engine"], [100 * r / beside for r in rounds], "%")
    for name, server in servers.items():
        if name != OURS:
            theirs = best_connections(server)["rounds"]
            extremes = [min(rounds) / max(theirs), max(rounds) / min(theirs)]
            yield _ratio(f"{OURS}/against {name}", ours["peak_per_second"] / server["peak_per_second"], extremes)
    yield _score(f"{OURS}/labels that are the engine's", 100 * ours["labels_alike"], "%", "higher")
    yield _single(f"{OURS}/memory", max(facts["server_memory_mb"] for facts in ours["closed"].values()), "MB", "lower")
    if open_loop := ours.get("open"):
        last = max(open_loop, key=lambda facts: float(facts["rate"]))
        yield _single(f"{OURS}/goodput when overloaded", 100 * last["goodput_over_peak"], "%", "higher")


def _of_training(result: dict[str, Any]) -> Iterator[Figure]:
    contenders = result["contenders"]
    for name, facts in contenders.items():
        yield _speed(f"{name}/speed", facts["comments_per_second"], facts["range"], "comments/s")
    low, high = contenders[OURS]["range"]
    for name, ratio in result["ratios"].items():
        slowest, fastest = contenders[name]["range"]
        yield _ratio(f"{OURS}/against {name}", ratio, [low / fastest, high / slowest])


def _of_scale(result: dict[str, Any]) -> Iterator[Figure]:
    for model, rows in growing(result["scoring"], "model").items():
        yield _single(f"scoring with {model}/speed", rows[-1]["comments_per_second"], "comments/s", None)
        yield _single(f"scoring with {model}/memory", rows[-1]["peak_memory_mb"], "MB", "lower")
    workers = sorted(result["workers"], key=lambda row: int(row["workers"]))
    if len(workers) > 1:
        one, most = workers[0], workers[-1]
        extremes = [min(most["rounds"]) / max(one["rounds"]), max(most["rounds"]) / min(one["rounds"])]
        ratio = most["requests_per_second"] / one["requests_per_second"]
        yield _ratio(f"{most['workers']} workers/against {one['workers']}", ratio, extremes)


def _of_footprint(result: dict[str, Any]) -> Iterator[Figure]:
    ours = result["servers"].get(OURS, {})
    for name in ("import_seconds", "ready_seconds"):
        if name in ours:
            yield _speed(f"{OURS}/{name}", ours[name]["value"], ours[name]["rounds"], "s")
    for name, server in measured(result["servers"], "ready_seconds").items():
        if name != OURS and "ready_seconds" in ours:
            mine, theirs = ours["ready_seconds"], server["ready_seconds"]
            extremes = [min(theirs["rounds"]) / max(mine["rounds"]), max(theirs["rounds"]) / min(mine["rounds"])]
            yield _ratio(f"{OURS}/ready sooner than {name}", theirs["value"] / mine["value"], extremes)
    if "memory_mb" in ours:
        yield _single(f"{OURS}/memory", ours["memory_mb"], "MB", "lower")
    if "install_mb" in ours:
        yield _sized(f"{OURS}/install", ours["install_mb"], "MB")


def _of_dataset(result: dict[str, Any]) -> Iterator[Figure]:
    for family, facts in result["families"].items():
        score = {name: 100 * value for name, value in facts["test"]["scores"]["macro_f1"].items()}
        yield _score(f"{family}/macro-F1", score["value"], "points", "higher", score["low"], score["high"])


def _speed(name: str, value: float, rounds: Sequence[float], unit: str) -> Figure:
    return Figure(name, value, unit, min(rounds), max(rounds), _spread(value, rounds), None)


def _ratio(name: str, value: float, rounds: Sequence[float], unit: str = "×") -> Figure:
    low, high = min(value, *rounds), max(value, *rounds)
    return Figure(name, value, unit, low, high, _spread(value, rounds), "higher")


def _spread(value: float, rounds: Sequence[float]) -> float:
    return max(SPEED_NOISE * value, *(abs(found - value) for found in rounds))


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
    """A quality figure. Its interval is that of the sample, which a repeat on the same comments shares."""
    return Figure(
        name, value, unit, value if low is None else low, value if high is None else high, POINTS_NOISE, better
    )


def _exact(name: str, value: float, unit: str) -> Figure:
    return Figure(name, value, unit, value, value, 0, "lower")


def _sized(name: str, value: float, unit: str) -> Figure:
    return Figure(name, value, unit, value, value, SIZE_NOISE * value, "lower")

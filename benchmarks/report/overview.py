"""The top of the report: ours against the best peer and the physical limit, in one look."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from benchmarks.report.compare import TOLD, Change, summary, written
from benchmarks.report.drawing import Palette, bar_height, bars, canvas
from benchmarks.report.figures import COMMANDS, OURS, best_peer, engine_speed, measured
from benchmarks.report.notation import gain, number, percent, times
from benchmarks.report.section import Answer, Chart, Table, spoken
from benchmarks.report.servers import server_bars
from benchmarks.report.speed import CASCADE, in_process_bars


@dataclass(frozen=True)
class Tile:
    """A figure large enough to be read from afar."""

    value: str
    text: str


def tiles(results: dict[str, Any]) -> list[Tile]:
    """The figures that decide, as far as they were measured."""
    return [*_of_servers(results.get("serving")), *_of_engines(results.get("engines")), *_of_training(results.get("training"))]  # fmt: skip


def overview_chart(results: dict[str, Any]) -> Chart | None:
    """Ours, the peers and the limit, over HTTP and in process, as far as they were measured."""
    panels = {}
    if "serving" in results:
        panels["over HTTP: requests per second"] = server_bars(results["serving"])
    if "engines" in results:
        panels["in one process: comments per second"] = in_process_bars(results["engines"])
    if not panels:
        return None
    values = "; ".join(f"{title}: {spoken((row.name, row.note) for row in rows)}" for title, rows in panels.items())

    def draw(palette: Palette) -> Figure:
        heights = [bar_height(len(rows)) for rows in panels.values()]
        figure, axes = canvas(palette, sum(heights), len(panels), height_ratios=heights)
        for panel, (title, rows) in zip(axes, panels.items(), strict=True):
            bars(panel, rows, palette, title)
        return figure

    return Chart("overview", f"Bars. {values}.", draw)


def changed(label: str, found: Sequence[Change], other: dict[str, str]) -> Answer:
    """The comparison with an earlier run."""
    told = [change for change in found if change.verdict in TOLD]
    if not found:
        answer = "There are no earlier results to compare with."
    elif not told:
        answer = f"Nothing beyond noise, against {label}: {summary(found)}."
    else:
        answer = f"Against {label}: {summary(found)}."
    rows = [[change.name, change.verdict, written(change.before), written(change.after)] for change in told]
    return Answer(
        answer,
        tables=[Table("Figures that changed", ["figure", "", "before", "after"], rows, open=True)] if rows else [],
        notes=[
            "Speeds are compared as ratios within their own run, since machines drift; noise is the range of the rounds, 5% at least."
        ],
        missing=[f"{name} is not judged: {reason}" for name, reason in other.items()],
    )


def not_measured(results: Sequence[str]) -> Answer:
    """The answer while there are no results."""
    missing = [f"{name}: no results here; {COMMANDS[name]} writes them" for name in results]
    return Answer("Not measured yet.", missing=missing)


def _of_servers(result: dict[str, Any] | None) -> Iterator[Tile]:
    if result is None or OURS not in measured(result["servers"], "closed"):
        return
    ours = result["servers"][OURS]["peak_per_second"]
    peer = best_peer(result)
    if peer:
        yield Tile(
            times(ours / result["servers"][peer]["peak_per_second"]),
            f"the requests per second of the best peer, {peer}",
        )


def _of_engines(result: dict[str, Any] | None) -> Iterator[Tile]:
    engines = measured(result["engines"], "batches") if result else {}
    if result is None or result["served"] not in engines:
        return
    served = engines[result["served"]]
    if result["pipeline"] in engines:
        ratio = engine_speed(served) / engine_speed(engines[result["pipeline"]])
        yield Tile(times(ratio), f"the comments per second of {result['pipeline']}")
    if served["share_of_peak"]:
        yield Tile(percent(served["share_of_peak"]), f"of this machine's physical limit in {served['precision']}")
    yield Tile(gain(served["quality"]["f1_loss"]), f"points of macro-F1 in {served['precision']}, against fp32")
    if CASCADE in engines:
        yield Tile(number(engine_speed(engines[CASCADE])), f"comments per second with the cascade, at {gain(engines[CASCADE]['quality']['f1_loss'])} points of macro-F1")  # fmt: skip


def _of_training(result: dict[str, Any] | None) -> Iterator[Tile]:
    if result:
        name, ratio = min(result["ratios"].items(), key=lambda item: float(item[1]))
        yield Tile(times(ratio), f"the training speed of {name}")

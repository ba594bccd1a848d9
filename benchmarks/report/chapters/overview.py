"""The top of the report: our figures against the best peer and the physical limit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from benchmarks.engines.result import EnginesResult, engine_speed, measured_engines
from benchmarks.report.chapters.in_process import CASCADE, in_process_bars
from benchmarks.report.chapters.over_http import server_bars
from benchmarks.report.compare import SHOWN, Change, summary, written
from benchmarks.report.drawing import Palette, bar_height, bars, canvas
from benchmarks.report.notation import gain, number, percent, times
from benchmarks.report.result_files import COMMANDS, ResultName, Results
from benchmarks.report.section import Answer, Chart, Table, spoken
from benchmarks.result import OURS
from benchmarks.servers.result import ServingResult, best_peer, measured_servers
from benchmarks.training.result import TrainingResult


@dataclass(frozen=True)
class Tile:
    """A figure in large type, with a short text."""

    value: str
    text: str


def tiles(results: Results) -> list[Tile]:
    """The most important figures, as far as they were measured."""
    return [*_of_servers(results.get("serving")), *_of_engines(results.get("engines")), *_of_training(results.get("training"))]  # fmt: skip


def overview_chart(results: Results) -> Chart | None:
    """Ours, the peers and the limit, over HTTP and in one process, as far as they were measured."""
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


def changed(label: str, compared: Sequence[Change], excluded: dict[str, str]) -> Answer:
    """The comparison with an earlier run."""
    shown = [change for change in compared if change.verdict in SHOWN]
    if not compared:
        answer = "There are no earlier results to compare with."
    elif not shown:
        answer = f"No change beyond noise against {label}: {summary(compared)}."
    else:
        answer = f"Against {label}: {summary(compared)}."
    rows = [[change.name, change.verdict, written(change.before), written(change.after)] for change in shown]
    return Answer(
        answer,
        tables=[Table("Figures that changed", ["figure", "", "before", "after"], rows, open=True)] if rows else [],
        notes=[
            "Speeds are compared as ratios within their own run, since the speed of a machine drifts; noise is the range of the rounds, at least 5%."
        ],
        missing=[f"{name} is not judged: {reason}" for name, reason in excluded.items()],
    )


def not_measured(results: Sequence[ResultName]) -> Answer:
    """The answer if none of these results exists."""
    missing = [f"{name}: no results here; {COMMANDS[name]} writes them" for name in results]
    return Answer("Not measured yet.", missing=missing)


def _of_servers(result: ServingResult | None) -> Iterator[Tile]:
    servers = measured_servers(result["servers"]) if result else {}
    if result is None or OURS not in servers:
        return
    peer = best_peer(result)
    if peer:
        ratio = servers[OURS]["peak_per_second"] / servers[peer]["peak_per_second"]
        yield Tile(times(ratio), f"the requests per second of the best peer, {peer}")


def _of_engines(result: EnginesResult | None) -> Iterator[Tile]:
    engines = measured_engines(result["engines"]) if result else {}
    if result is None or result["served"] not in engines:
        return
    served = engines[result["served"]]
    if result["pipeline"] in engines:
        ratio = engine_speed(served) / engine_speed(engines[result["pipeline"]])
        yield Tile(times(ratio), f"the comments per second of {result['pipeline']}")
    share = served["share_of_peak"]
    if share:
        yield Tile(percent(share), f"of this machine's physical limit in {served['precision']}")
    yield Tile(gain(served["quality"]["f1_loss"]), f"points of macro-F1 in {served['precision']} against fp32")
    if CASCADE in engines:
        yield Tile(number(engine_speed(engines[CASCADE])), f"comments per second with the cascade, at {gain(engines[CASCADE]['quality']['f1_loss'])} points of macro-F1")  # fmt: skip


def _of_training(result: TrainingResult | None) -> Iterator[Tile]:
    if result:
        name, ratio = min(result["ratios"].items(), key=lambda item: item[1])
        yield Tile(times(ratio), f"the training speed of {name}")

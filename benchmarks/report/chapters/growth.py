"""Training speed, cost as the work grows, start-up and installed size."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import matplotlib.ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.drawing import SMALL, Bar, Palette, bar_height, bars, canvas, gridded, legend, titled
from benchmarks.report.notation import number, percent, seconds, spread, times
from benchmarks.report.section import Answer, Chart, Table, absent, provenance, spoken
from benchmarks.result import OURS, Failed, Missing
from benchmarks.scale.result import (
    Footprint,
    FootprintResult,
    ScaleResult,
    Scored,
    Trained,
    Workers,
    by_workers,
    measured_footprints,
    scored,
    trained,
)
from benchmarks.training.result import TrainingResult, head

Row = TypeVar("Row", Scored, Trained)
MARKERS = ("o", "s", "^", "D")
FOOTPRINT: dict[str, Callable[[Footprint], float]] = {
    "seconds to import": lambda row: row["import_seconds"]["value"],
    "seconds until the first answer": lambda row: row["ready_seconds"]["value"],
    "memory at rest, MB": lambda row: row["memory_mb"],
    "installed size, MB": lambda row: row["install_mb"],
}
"""Figures of a footprint, by title."""


def training(result: TrainingResult) -> Answer:
    """Our loop against transformers' Trainer."""
    contenders = result["contenders"]
    ours = contenders[OURS]
    against = " and ".join(f"{times(ratio)} as many as “{name}”" for name, ratio in result["ratios"].items())
    return Answer(
        f"Fine-tuning processes {number(ours['comments_per_second'])} comments per second, {against}, and reaches {percent(ours['mfu'])} of this machine's peak arithmetic.",
        charts=[
            Chart("training", f"Bars, comments per second of fine-tuning: {spoken((name, number(row['comments_per_second'])) for name, row in contenders.items())}.", lambda palette: draw_training(result, palette)),
        ],
        tables=[
            Table(
                "Fine-tuning",
                ["trainer", "comments/s", "range", "share of peak", "ours is", "test macro-F1"],
                [
                    [name, number(row["comments_per_second"]), spread(min(row["range"]), max(row["range"])), percent(row["mfu"]), times(result["ratios"][name]) if name in result["ratios"] else "", f"{row['test_macro_f1']:.3f}" if row["test_macro_f1"] else "not scored"]
                    for name, row in contenders.items()
                ],
            )
        ],
        notes=["The same model on the same comments; “tuned” is transformers' Trainer with all options that its documentation advises for speed."],
        measured=[provenance("training", head(result), result["comments"], result["seed"])],
    )  # fmt: skip


def draw_training(result: TrainingResult, palette: Palette) -> Figure:
    """A bar per contender, with our lead over it."""
    rows = [
        Bar(
            name,
            row["comments_per_second"],
            number(row["comments_per_second"]) + (f" · ours is {times(result['ratios'][name])}" if name in result["ratios"] else ""),
            "ours" if name == OURS else "peer",
            (min(row["range"]), max(row["range"])),
        )
        for name, row in result["contenders"].items()
    ]  # fmt: skip
    figure, (panel,) = canvas(palette, bar_height(len(rows)))
    bars(panel, rows, palette, "comments per second, fine-tuning")
    return figure


def scale(result: ScaleResult) -> Answer:
    """Time and memory as the work grows."""
    scoring, training, workers = scored(result), trained(result), by_workers(result)
    return Answer(
        " ".join([*(_on_scoring(model, rows) for model, rows in scoring.items()), _on_workers(workers)]).strip(),
        charts=[
            Chart("scoring", "Lines, seconds and peak memory of scoring files of growing size; the table holds the figures.", lambda palette: _draw_scoring(scoring, palette)),
            Chart("growth", "Lines, seconds of training on growing data, and requests per second with more workers; the tables hold the figures.", lambda palette: _draw_growth(training, workers, palette)),
        ],
        tables=[
            Table("Scoring a file, the whole process", ["model", "comments", "time", "comments/s", "peak memory, MB"], [[row["model"], f"{row['comments']:,}", seconds(row["seconds"]), number(row["comments_per_second"]), number(row["peak_memory_mb"])] for rows in scoring.values() for row in rows]),
            Table("Training", ["family", "comments", "time"], [[row["family"], f"{row['comments']:,}", seconds(row["seconds"])] for rows in training.values() for row in rows]),
            Table("Server workers", ["workers", "requests/s", "range", "memory, MB"], [[str(row["workers"]), number(row["requests_per_second"]), spread(min(row["rounds"]), max(row["rounds"])), number(row["memory_mb"])] for row in workers]),
        ],
        notes=["Dashed lines: cost proportional to the work."],
        measured=[provenance("scale", result, seed=result["seed"], rounds=result["rounds"], seconds=result["seconds"])],
        missing=_left_out(result),
    )  # fmt: skip


def footprint(result: FootprintResult) -> Answer:
    """Import, start, memory and installed size of every server."""
    servers = measured_footprints(result["servers"])
    values = "; ".join(
        f"{title}: {spoken((name, number(value(row))) for name, row in servers.items())}"
        for title, value in FOOTPRINT.items()
    )
    return Answer(
        _on_footprint(servers),
        charts=[Chart("footprint", f"Bars. {values}.", lambda palette: _draw_footprint(result["servers"], palette))],
        tables=[
            Table("Servers", ["server", *FOOTPRINT, "packages"], [[name, *(number(value(row)) for value in FOOTPRINT.values()), str(row["packages"])] for name, row in servers.items()]),
            Table("Extras of the package", ["extra", "installed size, MB"], [[name, number(size) if not isinstance(size, dict) else size["missing"]] for name, size in result["extras"].items()]),
        ],
        notes=["Each server with the packages that it needs and no others."],
        measured=[provenance("footprint", result, rounds=result["rounds"])],
        missing=absent(result["servers"]),
    )  # fmt: skip


def _left_out(result: ScaleResult) -> list[str]:
    """The sizes that were left out, with their reasons."""
    scoring = [
        f"scoring with {row['model']}, {row['comments']:,} comments: {row['left_out']}"
        for row in result["scoring"]
        if "left_out" in row
    ]
    training = [
        f"training {row['family']}, {row['comments']:,} comments: {row['left_out']}"
        for row in result["training"]
        if "left_out" in row
    ]
    return scoring + training


def _on_scoring(model: str, rows: Sequence[Scored]) -> str:
    first, last = rows[0], rows[-1]
    return (
        f"With {model}, a file of {last['comments']:,} comments is scored in {seconds(last['seconds'])}: {times(last['comments'] / first['comments'])} the comments "
        f"of {first['comments']:,} take {times(last['seconds'] / first['seconds'])} the time and {times(last['peak_memory_mb'] / first['peak_memory_mb'])} the memory."
    )


def _on_workers(workers: Sequence[Workers]) -> str:
    if len(workers) < 2:
        return ""
    one, most = workers[0], workers[-1]
    return f"{most['workers']} workers answer {times(most['requests_per_second'] / one['requests_per_second'])} as many requests as {one['workers']}."


def _on_footprint(servers: Mapping[str, Footprint]) -> str:
    ours = servers.get(OURS)
    if ours is None:
        return f"{OURS} was not measured."
    sizes = {name: row["install_mb"] for name, row in servers.items() if name != OURS}
    smallest = min(sizes, key=lambda name: sizes[name], default=None)
    next_to = f"; the smallest peer, {smallest}, installs {number(sizes[smallest])} MB" if smallest else ""
    return (
        f"{OURS} installs {number(ours['install_mb'])} MB in {ours['packages']} packages, is ready after {number(ours['ready_seconds']['value'])} seconds "
        f"and takes {number(ours['memory_mb'])} MB of memory at rest{next_to}."
    )


def _draw_scoring(scoring: Mapping[str, Sequence[Scored]], palette: Palette) -> Figure:
    figure, (top, bottom) = canvas(palette, 4.8, 2, sharex=True)
    for look, (model, rows) in zip(_looks(palette), scoring.items(), strict=False):
        comments = [row["comments"] for row in rows]
        top.plot(comments, [row["seconds"] for row in rows], **look)
        _proportional(top, comments, rows[0]["seconds"], palette)
        bottom.plot(comments, [row["peak_memory_mb"] for row in rows], label=model, **look)
    _timed(top)
    for panel in (top, bottom):
        _growing(panel, scoring)
    bottom.set_ylim(0, 1.25 * max(row["peak_memory_mb"] for rows in scoring.values() for row in rows))
    _finish([top, bottom], ["time to score a file", "peak memory, MB"], palette)
    bottom.set_xlabel("comments in the file")
    legend(bottom, palette)
    return figure


def _draw_growth(training: Mapping[str, Sequence[Trained]], workers: Sequence[Workers], palette: Palette) -> Figure:
    figure, (top, bottom) = canvas(palette, 4.8, 2)
    for look, (family, rows) in zip(_looks(palette), training.items(), strict=False):
        comments = [row["comments"] for row in rows]
        top.plot(comments, [row["seconds"] for row in rows], label=family, **look)
        _proportional(top, comments, rows[0]["seconds"], palette)
    _timed(top)
    _growing(top, training)
    legend(top, palette)
    top.set_xlabel("training comments")
    bottom.bar([str(row["workers"]) for row in workers], [row["requests_per_second"] for row in workers], color=palette.ours, width=0.5)  # fmt: skip
    for place, row in enumerate(workers):
        bottom.plot([place, place], [min(row["rounds"]), max(row["rounds"])], color=palette.ink, linewidth=1)
        bottom.annotate(number(row["requests_per_second"]), (place, max(row["rounds"])), (0, 4), textcoords="offset points", ha="center", color=palette.ink, fontsize=SMALL)  # fmt: skip
    bottom.margins(y=0.2)
    bottom.set_xlabel("workers")
    _finish([top, bottom], ["time to train", "requests per second"], palette)
    return figure


def _looks(palette: Palette) -> list[dict[str, Any]]:
    colours = (palette.ours, palette.other, palette.muted, palette.peer)
    return [{"color": colour, "marker": mark, "markersize": 5} for colour, mark in zip(colours, MARKERS, strict=True)]


def _proportional(panel: Axes, comments: Sequence[int], first: float, palette: Palette) -> None:
    line = [first * count / comments[0] for count in comments]
    panel.plot(comments, line, color=palette.muted, linestyle="--", linewidth=1)


def _timed(panel: Axes) -> None:
    panel.set_yscale("log")
    panel.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: seconds(value)))


def _growing(panel: Axes, groups: Mapping[str, Sequence[Row]]) -> None:
    """Set a logarithmic axis with ticks at the measured sizes."""
    panel.set_xscale("log")
    counts = sorted({row["comments"] for rows in groups.values() for row in rows})
    panel.set_xticks(counts, [f"{count:,}" for count in counts])
    panel.minorticks_off()


def _finish(panels: Sequence[Axes], titles: Sequence[str], palette: Palette) -> None:
    for panel, title in zip(panels, titles, strict=True):
        gridded(panel, palette, "y")
        titled(panel, title, palette)


def _draw_footprint(servers: Mapping[str, Footprint | Missing | Failed], palette: Palette) -> Figure:
    figure, panels = canvas(palette, len(FOOTPRINT) * bar_height(len(servers)), len(FOOTPRINT))
    measured = measured_footprints(servers)
    for panel, (title, value) in zip(panels, FOOTPRINT.items(), strict=True):
        rows = [
            Bar(name, value(measured[name]), number(value(measured[name])), "ours" if name == OURS else "peer")
            if name in measured
            else Bar(name, None, "not measured")
            for name in servers
        ]
        bars(panel, rows, palette, title)
    return figure

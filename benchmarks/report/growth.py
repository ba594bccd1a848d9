"""How fast it trains, what more work costs, and what it takes to start and install."""

from collections.abc import Sequence
from typing import Any

import matplotlib.ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.drawing import SMALL, Bar, Palette, bar_height, bars, canvas, gridded, legend, titled
from benchmarks.report.figures import OURS, growing
from benchmarks.report.notation import number, percent, seconds, spread, times
from benchmarks.report.section import Answer, Chart, Table, absent, provenance, spoken

Groups = dict[str, list[dict[str, Any]]]
"""Rows by model or family, with the work growing."""
MARKERS = ("o", "s", "^", "D")
FOOTPRINT = {
    "import_seconds": "seconds to import",
    "ready_seconds": "seconds until the first answer",
    "memory_mb": "memory at rest, MB",
    "install_mb": "installed size, MB",
}


def training(result: dict[str, Any]) -> Answer:
    """Our loop against transformers' Trainer."""
    contenders = result["contenders"]
    ours = contenders[OURS]
    against = " and ".join(f"{times(ratio)} as many as “{name}”" for name, ratio in result["ratios"].items())
    return Answer(
        f"Fine-tuning reads {number(ours['comments_per_second'])} comments per second, {against}, with {percent(ours['mfu'])} of the arithmetic this machine could do.",
        charts=[
            Chart("training", f"Bars, comments per second of fine-tuning: {spoken((name, number(row['comments_per_second'])) for name, row in contenders.items())}.", lambda palette: draw_training(result, palette)),
        ],
        tables=[
            Table(
                "Fine-tuning",
                ["trainer", "comments/s", "range", "share of peak", "ours is", "test macro-F1"],
                [
                    [name, number(row["comments_per_second"]), spread(*row["range"]), percent(row["mfu"]), times(result["ratios"][name]) if name in result["ratios"] else "", f"{row['test_macro_f1']:.3f}" if row["test_macro_f1"] else "not scored"]
                    for name, row in contenders.items()
                ],
            )
        ],
        notes=["The same model on the same comments; “tuned” is transformers' Trainer with all that its documentation advises for speed."],
        measured=[provenance("training", result)],
    )  # fmt: skip


def draw_training(result: dict[str, Any], palette: Palette) -> Figure:
    """A bar per contender, with our lead over it."""
    rows = [
        Bar(
            name,
            row["comments_per_second"],
            number(row["comments_per_second"]) + (f" · ours is {times(result['ratios'][name])}" if name in result["ratios"] else ""),
            "ours" if name == OURS else "peer",
            tuple(row["range"]),
        )
        for name, row in result["contenders"].items()
    ]  # fmt: skip
    figure, (panel,) = canvas(palette, bar_height(len(rows)))
    bars(panel, rows, palette, "comments per second, fine-tuning")
    return figure


def scale(result: dict[str, Any]) -> Answer:
    """Time and memory as the work grows."""
    scoring, training = growing(result["scoring"], "model"), growing(result["training"], "family")
    return Answer(
        " ".join([*(_on_scoring(model, rows) for model, rows in scoring.items()), _on_workers(result["workers"])]).strip(),
        charts=[
            Chart("scoring", "Lines, seconds and peak memory of scoring files of growing size; the table holds the figures.", lambda palette: _draw_scoring(scoring, palette)),
            Chart("growth", "Lines, seconds of training with growing data, and requests per second with more workers; the tables hold the figures.", lambda palette: _draw_growth(training, result["workers"], palette)),
        ],
        tables=[
            Table("Scoring a file, the whole process", ["model", "comments", "time", "comments/s", "peak memory, MB"], [[row["model"], f"{row['comments']:,}", seconds(row["seconds"]), number(row["comments_per_second"]), number(row["peak_memory_mb"])] for rows in scoring.values() for row in rows]),
            Table("Training", ["family", "comments", "time"], [[row["family"], f"{row['comments']:,}", seconds(row["seconds"])] for rows in training.values() for row in rows]),
            Table("Server workers", ["workers", "requests/s", "range", "memory, MB"], [[str(row["workers"]), number(row["requests_per_second"]), spread(min(row["rounds"]), max(row["rounds"])), number(row["memory_mb"])] for row in result["workers"]]),
        ],
        notes=["Dashed lines grow exactly with the work; below them is better than that."],
        measured=[provenance("scale", result)],
        missing=_left_out("scoring with", "model", result["scoring"]) + _left_out("training", "family", result["training"]),
    )  # fmt: skip


def footprint(result: dict[str, Any]) -> Answer:
    """Import, start, memory and installed size of every server."""
    servers = result["servers"]
    there = {name: row for name, row in servers.items() if "missing" not in row and "failed" not in row}
    values = "; ".join(
        f"{title}: {spoken((name, number(value)) for name, row in there.items() if (value := _value(row, key)) is not None)}"
        for key, title in FOOTPRINT.items()
    )
    return Answer(
        _on_footprint(there),
        charts=[Chart("footprint", f"Bars. {values}.", lambda palette: _draw_footprint(servers, palette))],
        tables=[
            Table("Servers", ["server", *FOOTPRINT.values(), "packages"], [[name, *(number(value) if (value := _value(row, key)) is not None else "" for key in FOOTPRINT), str(row.get("packages", ""))] for name, row in there.items()]),
            Table("Extras of the package", ["extra", "installed size, MB"], [[name, number(size)] for name, size in result["extras"].items()]),
        ],
        notes=["Each in an environment of its own, with what it needs and no more."],
        measured=[provenance("footprint", result)],
        missing=absent(servers),
    )  # fmt: skip


def _left_out(work: str, key: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """The sizes without figures, with their reason."""
    return [f"{work} {row[key]}, {row['comments']:,} comments: {row['left_out']}" for row in rows if "left_out" in row]


def _on_scoring(model: str, rows: Sequence[dict[str, Any]]) -> str:
    first, last = rows[0], rows[-1]
    return (
        f"With {model}, a file of {last['comments']:,} comments is scored in {seconds(last['seconds'])}: {times(last['comments'] / first['comments'])} the comments "
        f"of {first['comments']:,} take {times(last['seconds'] / first['seconds'])} the time and {times(last['peak_memory_mb'] / first['peak_memory_mb'])} the memory."
    )


def _on_workers(workers: Sequence[dict[str, Any]]) -> str:
    if len(workers) < 2:
        return ""
    one, most = workers[0], workers[-1]
    return f"{most['workers']} workers answer {times(most['requests_per_second'] / one['requests_per_second'])} as many requests as {one['workers']}."


def _on_footprint(servers: dict[str, Any]) -> str:
    ours = servers.get(OURS)
    if ours is None:
        return f"{OURS} was not measured."
    sizes = {name: row["install_mb"] for name, row in servers.items() if name != OURS and "install_mb" in row}
    smallest = min(sizes, key=lambda name: float(sizes[name]), default=None)
    next_to = f"; the smallest peer, {smallest}, takes {number(sizes[smallest])}" if smallest else ""
    return (
        f"{OURS} installs {number(ours['install_mb'])} MB in {ours['packages']} packages, is ready after {number(ours['ready_seconds']['value'])} seconds "
        f"and rests at {number(ours['memory_mb'])} MB{next_to}."
    )


def _draw_scoring(scoring: Groups, palette: Palette) -> Figure:
    figure, (top, bottom) = canvas(palette, 4.8, 2, sharex=True)
    for look, (model, found) in zip(_looks(palette), scoring.items(), strict=False):
        comments = [row["comments"] for row in found]
        top.plot(comments, [row["seconds"] for row in found], **look)
        _proportional(top, comments, found[0]["seconds"], palette)
        bottom.plot(comments, [row["peak_memory_mb"] for row in found], label=model, **look)
    _timed(top)
    for panel in (top, bottom):
        _growing(panel, scoring)
    bottom.set_ylim(0, 1.25 * max(row["peak_memory_mb"] for rows in scoring.values() for row in rows))
    _finish([top, bottom], ["time to score a file", "peak memory, MB"], palette)
    bottom.set_xlabel("comments in the file")
    legend(bottom, palette)
    return figure


def _draw_growth(training: Groups, workers: Sequence[dict[str, Any]], palette: Palette) -> Figure:
    figure, (top, bottom) = canvas(palette, 4.8, 2)
    for look, (family, found) in zip(_looks(palette), training.items(), strict=False):
        comments = [row["comments"] for row in found]
        top.plot(comments, [row["seconds"] for row in found], label=family, **look)
        _proportional(top, comments, found[0]["seconds"], palette)
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


def _growing(panel: Axes, groups: Groups) -> None:
    """Axes on which ten times as much is the same step everywhere, marked where it was measured."""
    panel.set_xscale("log")
    counts = sorted({row["comments"] for rows in groups.values() for row in rows})
    panel.set_xticks(counts, [f"{count:,}" for count in counts])
    panel.minorticks_off()


def _finish(panels: Sequence[Axes], titles: Sequence[str], palette: Palette) -> None:
    for panel, title in zip(panels, titles, strict=True):
        gridded(panel, palette, "y")
        titled(panel, title, palette)


def _value(row: dict[str, Any], key: str) -> float | None:
    found = row.get(key)
    return float(found["value"] if isinstance(found, dict) else found) if found is not None else None


def _draw_footprint(servers: dict[str, Any], palette: Palette) -> Figure:
    figure, panels = canvas(palette, len(FOOTPRINT) * bar_height(len(servers)), len(FOOTPRINT))
    for panel, (key, title) in zip(panels, FOOTPRINT.items(), strict=True):
        rows = []
        for name, row in servers.items():
            value = _value(row, key)
            note = "not measured" if value is None else number(value)
            rows.append(Bar(name, value, note, "ours" if name == OURS else "peer"))
        bars(panel, rows, palette, title)
    return figure

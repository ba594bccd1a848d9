"""How fast the engines are in one process, and how far the machine's limit is."""

from typing import Any

from matplotlib.figure import Figure

from benchmarks.report.drawing import (
    Bar,
    Palette,
    Role,
    bar_height,
    bars,
    canvas,
    gridded,
    legend,
    titled,
)
from benchmarks.report.figures import PEAKS, best_batch, engine_speed, measured, speed_limit
from benchmarks.report.notation import gain, megabytes, milliseconds, number, percent, points, spread, times
from benchmarks.report.section import Answer, Chart, Table, absent, provenance, spoken

CASCADE = "cascade"


def how_fast(result: dict[str, Any]) -> Answer:
    """Comments per second of every engine, next to what people use today."""
    engines = measured(result["engines"], "batches")
    return Answer(
        " ".join([_answer(result, engines), _on_cascade(result, engines)]).strip(),
        charts=[
            Chart("engines", f"Bars, comments per second in one process: {spoken((name, number(engine_speed(row))) for name, row in engines.items())}.", lambda palette: _draw_engines(result, palette)),
            Chart("batches", "Lines, comments per second of each engine at growing batch sizes; the table holds the figures.", lambda palette: _draw_batches(result, palette)),
        ],
        tables=[_engine_table(result, engines), _batch_table(engines)],
        notes=[
            f"Real comments, {result['comments']['mean_tokens']:g} tokens long on average; every engine in the batch size at which it is fastest without letting a comment's neighbours change its answer.",
            "Thin lines are the range of the rounds.",
        ],
        measured=[provenance("engines", result)],
        missing=absent(result["engines"]),
    )  # fmt: skip


def limit(result: dict[str, Any]) -> Answer:
    """The share of the machine's measured peak that each engine reaches."""
    engines = {name: row for name, row in measured(result["engines"], "batches").items() if row["share_of_peak"]}
    peaks = {precision: speed_limit(result, precision) for precision in PEAKS}
    rows = [
        [precision, number(result["peak"][PEAKS[precision]]["value"]), spread(min(found), max(found)), number(speed)]
        for precision, speed in peaks.items()
        if speed and (found := result["peak"][PEAKS[precision]]["rounds"])
    ]
    return Answer(
        _on_limit(result),
        charts=[
            Chart("limit", f"Bars, share of the peak of their precision: {spoken((name, percent(row['share_of_peak'])) for name, row in engines.items())}.", lambda palette: _draw_limit(engines, result["served"], palette)),
        ],
        tables=[Table("Measured peaks", ["precision", "billion operations/s", "range of the rounds", "comments/s at that peak"], rows)],
        notes=[
            f"The limit is what this machine's matrix products reach alone, measured in the same run: {number(result['operations_per_comment'] / 1e9)} billion operations per comment, two for a multiplication with its addition.",
        ],
        measured=[provenance("engines", result)],
    )  # fmt: skip


def in_process_bars(result: dict[str, Any]) -> list[Bar]:
    """Limit, ours, and what people use today: the one look."""
    engines = measured(result["engines"], "batches")
    rows = []
    served = engines.get(result["served"])
    if served and (most := speed_limit(result, served["precision"])):
        rows.append(
            Bar(f"this machine's limit in {served['precision']}, every comment computed", most, number(most), "limit")
        )
    shown = dict.fromkeys([CASCADE, result["served"], _other_runtime(result, engines), result["pipeline"]])
    for name in shown:
        if name in engines:
            rows.append(_bar(result, engines, name))
    return rows


def _other_runtime(result: dict[str, Any], engines: dict[str, Any]) -> str | None:
    """The fastest engine that runs in another library than what is served, the pipeline aside."""
    ours = engines.get(result["served"], {}).get("runtime")
    others = [
        name for name, row in engines.items() if row["runtime"] != ours and name not in (result["pipeline"], CASCADE)
    ]
    return max(others, key=lambda name: engine_speed(engines[name]), default=None)


def _bar(result: dict[str, Any], engines: dict[str, Any], name: str) -> Bar:
    rounds = best_batch(engines[name])["rounds"]
    role: Role = "ours" if name in (result["served"], CASCADE) else "peer"
    label = {result["served"]: f"{name} (served)", result["pipeline"]: f"{name} (used today)"}.get(name, name)
    ratio = _against_pipeline(result, engines, name)
    note = f"{number(engine_speed(engines[name]))}{f' · {times(ratio)}' if ratio else ''}"
    return Bar(label, engine_speed(engines[name]), note, role, (min(rounds), max(rounds)))


def _against_pipeline(result: dict[str, Any], engines: dict[str, Any], name: str) -> float | None:
    if result["pipeline"] not in engines or name == result["pipeline"]:
        return None
    return engine_speed(engines[name]) / engine_speed(engines[result["pipeline"]])


def _answer(result: dict[str, Any], engines: dict[str, Any]) -> str:
    served = result["served"]
    if served not in engines:
        return f"{served}, which is served, was not measured."
    cores = result["machine"]["cores"]
    ratio = _against_pipeline(result, engines, served)
    against = f", {times(ratio)} the speed of {result['pipeline']}, which people use today" if ratio else ""
    return f"{served}, which is served, classifies {number(engine_speed(engines[served]))} comments per second on {cores} cores{against}."


def _on_cascade(result: dict[str, Any], engines: dict[str, Any]) -> str:
    if CASCADE not in engines:
        return ""
    cascade = engines[CASCADE]
    return (
        f"The cascade, in which a linear model answers the {percent(cascade['cascade']['share_answered_by_linear'])} of comments that it is sure of, "
        f"reaches {number(engine_speed(cascade))}, at {gain(cascade['quality']['f1_loss'])} points of macro-F1 against fp32."
    )


def _on_limit(result: dict[str, Any]) -> str:
    served = measured(result["engines"], "batches").get(result["served"])
    if not served or not served["share_of_peak"]:
        return "Not known: what is served was not held against a peak."
    most = speed_limit(result, served["precision"])
    assert most is not None
    return (
        f"{result['served']} reaches {percent(served['share_of_peak'])} of what this machine's {served['precision']} matrix products could do: "
        f"{number(engine_speed(served))} of {number(most)} comments per second."
    )


def _draw_engines(result: dict[str, Any], palette: Palette) -> Figure:
    engines = measured(result["engines"], "batches")
    rows = [_bar(result, engines, name) for name in sorted(engines, key=lambda name: -engine_speed(engines[name]))]
    rows += [Bar(name, None, "not measured") for name in result["engines"] if name not in engines]
    figure, (panel,) = canvas(palette, bar_height(len(rows)))
    bars(panel, rows, palette, "comments per second · against the pipeline")
    return figure


def _draw_batches(result: dict[str, Any], palette: Palette) -> Figure:
    """Ours and the pipeline by name; the others are the field they stand in."""
    figure, (panel,) = canvas(palette, 3.4)
    gridded(panel, palette)
    named = {result["served"]: palette.ours, CASCADE: palette.ours, result["pipeline"]: palette.other}
    for name, engine in measured(result["engines"], "batches").items():
        sizes = sorted(engine["batches"], key=int)
        speeds = [engine["batches"][size]["comments_per_second"] for size in sizes]
        places = [int(size) for size in sizes]
        line = "--" if name == CASCADE else "-"
        panel.plot(places, speeds, f"o{line}", color=named.get(name, palette.peer), linewidth=2 if name in named else 1, markersize=4, label=name if name in named else None)  # fmt: skip
    panel.set_xscale("log", base=2)
    panel.minorticks_off()
    panel.set_xticks([1, 8, 32, 128], ["1", "8", "32", "128"])
    panel.set_ylim(0, None)
    panel.set_xlabel("comments per call")
    panel.plot([], [], "o-", color=palette.peer, linewidth=1, markersize=4, label="others")
    legend(panel, palette, columns=2)
    titled(panel, "comments per second, by batch size", palette)
    return figure


def _draw_limit(engines: dict[str, Any], served: str, palette: Palette) -> Figure:
    rows = [
        Bar(
            f"{name}, of the {row['precision']} peak",
            row["share_of_peak"],
            percent(row["share_of_peak"]),
            "ours" if name == served else "peer",
        )
        for name, row in sorted(engines.items(), key=lambda item: -item[1]["share_of_peak"])
    ]
    figure, (panel,) = canvas(palette, bar_height(len(rows)))
    bars(panel, [Bar("the limit", 1, "100%", "limit"), *rows], palette, "share of the physical limit")
    return figure


def _engine_table(result: dict[str, Any], engines: dict[str, Any]) -> Table:
    columns = ["engine", "comments/s", "range", "against the pipeline", "batch", "share of peak", "macro-F1 lost", "fp32's labels", "labels neighbours change", "size", "CPU ms/comment"]  # fmt: skip
    rows = []
    for name, engine in engines.items():
        best = best_batch(engine)
        ratio = _against_pipeline(result, engines, name)
        rows.append(
            [
                name,
                number(engine_speed(engine)),
                spread(min(best["rounds"]), max(best["rounds"])),
                times(ratio) if ratio else "",
                engine["best"],
                percent(engine["share_of_peak"]) if engine["share_of_peak"] else "",
                points(engine["quality"]["f1_loss"]),
                f"{engine['quality']['agreement']:.2%}",
                str(best["neighbour_label_changes"]),
                megabytes(engine["size"]),
                f"{best['cpu_ms_per_comment']:.1f}",
            ]
        )
    return Table("Engines, each the way it is fastest", columns, rows)


def _batch_table(engines: dict[str, Any]) -> Table:
    columns = ["engine", "batch", "comments/s", "p50", "p95", "p99", "p99.9", "labels neighbours change", "they move a probability by"]  # fmt: skip
    rows = [
        [
            name,
            size,
            number(facts["comments_per_second"]),
            *(milliseconds(facts["latency_ms"][rank]) for rank in ("p50", "p95", "p99", "p99.9")),
            str(facts["neighbour_label_changes"]),
            f"{facts['neighbour_shift']:.3f}",
        ]
        for name, engine in engines.items()
        for size, facts in sorted(engine["batches"].items(), key=lambda item: int(item[0]))
    ]
    return Table("Engines by batch size; latency is that of a call", columns, rows)

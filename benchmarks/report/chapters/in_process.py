"""Speed of the engines in one process, and the limit of the machine."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from benchmarks.engines.result import (
    PEAKS,
    Batch,
    Engine,
    EnginesResult,
    best_batch,
    engine_speed,
    measured_engines,
    speed_limit,
)
from benchmarks.latency import RANKS
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
from benchmarks.report.notation import gain, megabytes, milliseconds, number, percent, points, spread, times
from benchmarks.report.section import Answer, Chart, Table, absent, provenance, spoken

CASCADE = "cascade"


def how_fast(result: EnginesResult) -> Answer:
    """Comments per second of every engine, next to the pipeline that is common practice."""
    engines = measured_engines(result["engines"])
    return Answer(
        " ".join([_answer(result, engines), _on_cascade(result, engines)]).strip(),
        charts=[
            Chart("engines", f"Bars, comments per second in one process: {spoken((name, number(engine_speed(row))) for name, row in engines.items())}.", lambda palette: _draw_engines(result, palette)),
            Chart("batches", "Lines, comments per second of each engine at growing batch sizes; the table holds the figures.", lambda palette: _draw_batches(result, palette)),
        ],
        tables=[_engine_table(result, engines), _batch_table(engines)],
        notes=[
            f"Real comments of {result['comments']['mean_tokens']:g} tokens on average; every engine at the batch size at which it is fastest without the answer to a comment depending on its neighbours.",
            "Thin lines are the range of the rounds.",
        ],
        measured=[engine_facts(result)],
        missing=absent(result["engines"]),
    )  # fmt: skip


def limit(result: EnginesResult) -> Answer:
    """The share of the machine's measured peak that each engine reaches."""
    engines = measured_engines(result["engines"])
    shares = {name: share for name, engine in engines.items() if (share := engine["share_of_peak"])}
    rows = []
    for precision, name in PEAKS.items():
        peak, speed = result["peak"][name], speed_limit(result, precision)
        assert speed is not None
        rows.append([precision, number(peak["value"]), spread(min(peak["rounds"]), max(peak["rounds"])), number(speed)])
    return Answer(
        _on_limit(result),
        charts=[
            Chart("limit", f"Bars, share of the peak of their precision: {spoken((name, percent(share)) for name, share in shares.items())}.", lambda palette: _draw_limit(shares, result, palette)),
        ],
        tables=[Table("Measured peaks", ["precision", "billion operations/s", "range of the rounds", "comments/s at that peak"], rows)],
        notes=[
            f"The limit is the speed if this machine did nothing but the matrix products, measured in the same run: {number(result['operations_per_comment'] / 1e9)} billion operations per comment, a multiply-add counted as two.",
        ],
        measured=[engine_facts(result)],
    )  # fmt: skip


def engine_facts(result: EnginesResult) -> list[tuple[str, str]]:
    """Facts about the measurement."""
    return provenance(
        "engines", result, result["comments"], result["seed"], result["rounds"], seconds=result["seconds"]
    )


def in_process_bars(result: EnginesResult) -> list[Bar]:
    """The limit, our engines and the alternatives, for the overview."""
    engines = measured_engines(result["engines"])
    rows = []
    served = engines.get(result["served"])
    if served and (peak := speed_limit(result, served["precision"])):
        rows.append(
            Bar(f"this machine's limit in {served['precision']}, every comment computed", peak, number(peak), "limit")
        )
    shown = dict.fromkeys([CASCADE, result["served"], _other_runtime(result, engines), result["pipeline"]])
    for name in shown:
        if name in engines:
            rows.append(_bar(result, engines, name))
    return rows


def _other_runtime(result: EnginesResult, engines: Mapping[str, Engine]) -> str | None:
    """The fastest engine in another runtime than the served one, apart from the pipeline."""
    ours = engines[result["served"]]["runtime"] if result["served"] in engines else None
    others = [
        name for name, row in engines.items() if row["runtime"] != ours and name not in (result["pipeline"], CASCADE)
    ]
    return max(others, key=lambda name: engine_speed(engines[name]), default=None)


def _bar(result: EnginesResult, engines: Mapping[str, Engine], name: str) -> Bar:
    rounds = best_batch(engines[name])["rounds"]
    label = {result["served"]: f"{name} (served)", result["pipeline"]: f"{name} (common practice)"}.get(name, name)
    ratio = _against_pipeline(result, engines, name)
    note = f"{number(engine_speed(engines[name]))}{f' · {times(ratio)}' if ratio else ''}"
    return Bar(label, engine_speed(engines[name]), note, _role(name, result), (min(rounds), max(rounds)))


def _role(name: str, result: EnginesResult) -> Role:
    return "ours" if name in (result["served"], CASCADE) else "peer"


def _against_pipeline(result: EnginesResult, engines: Mapping[str, Engine], name: str) -> float | None:
    if result["pipeline"] not in engines or name == result["pipeline"]:
        return None
    return engine_speed(engines[name]) / engine_speed(engines[result["pipeline"]])


def _answer(result: EnginesResult, engines: Mapping[str, Engine]) -> str:
    served = result["served"]
    if served not in engines:
        return f"{served}, the served engine, was not measured."
    cores = result["machine"]["cores"]
    ratio = _against_pipeline(result, engines, served)
    against = f", {times(ratio)} the speed of the {result['pipeline']}, which is common practice" if ratio else ""
    return f"{served}, the served engine, classifies {number(engine_speed(engines[served]))} comments per second on {cores} cores{against}."


def _on_cascade(result: EnginesResult, engines: Mapping[str, Engine]) -> str:
    if CASCADE not in engines:
        return ""
    cascade = engines[CASCADE]
    share = percent(cascade["cascade"]["share_answered_by_linear"])
    return (
        f"The cascade, in which a linear model answers the {share} of comments that it is sure of, "
        f"reaches {number(engine_speed(cascade))}, at {gain(cascade['quality']['f1_loss'])} points of macro-F1 against fp32."
    )


def _on_limit(result: EnginesResult) -> str:
    served = measured_engines(result["engines"]).get(result["served"])
    share = served["share_of_peak"] if served else None
    peak = speed_limit(result, served["precision"]) if served else None
    if served is None or share is None or peak is None:
        return "Unknown: the served engine was not compared with a peak."
    return (
        f"{result['served']} reaches {percent(share)} of the limit of this machine's {served['precision']} matrix products: "
        f"{number(engine_speed(served))} of {number(peak)} comments per second."
    )


def _draw_engines(result: EnginesResult, palette: Palette) -> Figure:
    engines = measured_engines(result["engines"])
    rows = [_bar(result, engines, name) for name in sorted(engines, key=lambda name: -engine_speed(engines[name]))]
    rows += [Bar(name, None, "not measured") for name in result["engines"] if name not in engines]
    figure, (panel,) = canvas(palette, bar_height(len(rows)))
    bars(panel, rows, palette, "comments per second · against the pipeline")
    return figure


def _draw_batches(result: EnginesResult, palette: Palette) -> Figure:
    """Our engines and the pipeline are labelled; the others show the range."""
    figure, (panel,) = canvas(palette, 3.4)
    gridded(panel, palette)
    named = {result["served"]: palette.ours, CASCADE: palette.ours, result["pipeline"]: palette.other}
    for name, engine in measured_engines(result["engines"]).items():
        by_size = sorted((int(size), batch["comments_per_second"]) for size, batch in engine["batches"].items())
        sizes, speeds = zip(*by_size, strict=True)
        line = "--" if name == CASCADE else "-"
        panel.plot(sizes, speeds, f"o{line}", color=named.get(name, palette.peer), linewidth=2 if name in named else 1, markersize=4, label=name if name in named else None)  # fmt: skip
    panel.set_xscale("log", base=2)
    panel.minorticks_off()
    panel.set_xticks([1, 8, 32, 128], ["1", "8", "32", "128"])
    panel.set_ylim(0, None)
    panel.set_xlabel("comments per call")
    panel.plot([], [], "o-", color=palette.peer, linewidth=1, markersize=4, label="others")
    legend(panel, palette, columns=2)
    titled(panel, "comments per second, by batch size", palette)
    return figure


def _draw_limit(shares: Mapping[str, float], result: EnginesResult, palette: Palette) -> Figure:
    engines = measured_engines(result["engines"])
    rows = [
        Bar(f"{name}, of the {engines[name]['precision']} peak", share, percent(share), _role(name, result))
        for name, share in sorted(shares.items(), key=lambda item: -item[1])
    ]
    figure, (panel,) = canvas(palette, bar_height(len(rows)))
    bars(panel, [Bar("the limit", 1, "100%", "limit"), *rows], palette, "share of the physical limit")
    return figure


def _engine_table(result: EnginesResult, engines: Mapping[str, Engine]) -> Table:
    columns = ["engine", "comments/s", "range", "against the pipeline", "batch", "share of peak", "macro-F1 lost", "agreement with fp32", "labels changed by neighbours", "size", "CPU ms/comment"]  # fmt: skip
    rows = []
    for name, engine in engines.items():
        best = best_batch(engine)
        ratio, share = _against_pipeline(result, engines, name), engine["share_of_peak"]
        rows.append(
            [
                name,
                number(engine_speed(engine)),
                spread(min(best["rounds"]), max(best["rounds"])),
                times(ratio) if ratio else "",
                engine["best"],
                percent(share) if share else "",
                points(engine["quality"]["f1_loss"]),
                f"{engine['quality']['agreement']:.2%}",
                str(best["neighbour_label_changes"]),
                megabytes(engine["size"]),
                f"{best['cpu_ms_per_comment']:.1f}",
            ]
        )
    return Table("Engines, each at its best batch size", columns, rows)


def _batch_table(engines: Mapping[str, Engine]) -> Table:
    columns = ["engine", "batch", "comments/s", *RANKS, "labels changed by neighbours", "largest change of a probability"]  # fmt: skip
    rows = [
        [
            name,
            size,
            number(facts["comments_per_second"]),
            *_latencies(facts),
            str(facts["neighbour_label_changes"]),
            f"{facts['neighbour_shift']:.3f}",
        ]
        for name, engine in engines.items()
        for size, facts in sorted(engine["batches"].items(), key=lambda item: int(item[0]))
    ]
    return Table("Engines by batch size; latency is per call", columns, rows)


def _latencies(batch: Batch) -> list[str]:
    latency = batch["latency_ms"]
    return [milliseconds(latency[rank]) if latency else "" for rank in RANKS]

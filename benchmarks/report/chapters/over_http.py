"""Our server next to its peers, and its behaviour under overload."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.latency import RANKS, Latency
from benchmarks.report.drawing import Bar, Palette, bar_height, bars, canvas, gridded, legend, row_name, titled
from benchmarks.report.notation import milliseconds, number, percent, spread, times
from benchmarks.report.section import Answer, Chart, Table, absent, provenance, spoken
from benchmarks.result import OURS
from benchmarks.servers.result import (
    OpenLoop,
    Server,
    ServingResult,
    best_connections,
    best_peer,
    failures,
    measured_servers,
    sustained_rate,
)

SERVERS_TITLE = "requests per second, one comment each"
OVERLOAD_HEIGHT = 5.2
MARKERS = ("s", "^", "D", "v", "P")


def peers(result: ServingResult) -> Answer:
    """Requests per second of every server."""
    servers = measured_servers(result["servers"])
    if not servers:
        return Answer("No server was measured.", missing=absent(result["servers"]))
    return Answer(
        _on_peers(result),
        charts=[
            Chart("servers", f"Bars, requests per second: {spoken((name, number(row['peak_per_second'])) for name, row in servers.items())}.", lambda palette: draw_servers(result, palette)),
            Chart("latency", f"Latency when busiest, median to 99th percentile: {spoken((name, _range(latency)) for name, latency in busiest(servers)[1].items())}.", lambda palette: _draw_latency(servers, palette)),
        ],
        tables=[_closed_table(servers), _server_table(result)],
        notes=["One comment per request over HTTP, closed loop: every connection sends its next request as soon as it has an answer. The servers run the same model, one after the other, with caches off."],
        measured=[_facts(result)],
        missing=absent(result["servers"]),
    )  # fmt: skip


def overload(result: ServingResult) -> Answer:
    """Goodput and latency when requests arrive faster than they can be answered."""
    loops = _open_loops(result)
    without = [name for name in measured_servers(result["servers"]) if name not in loops]
    return Answer(
        " ".join(_on_overload(name, loops[name]) for name in (OURS, best_peer(result)) if name in loops) or "Not measured: no open loop.",
        charts=[
            Chart("overload", "Lines, requests answered in time and their 99th percentile latency as the arrival rate rises, for " + ", ".join(loops) + "; the table holds the figures.", lambda palette: draw_overload(result, palette)),
        ] if loops else [],
        tables=[_open_table(loops)],
        notes=["Open loop: requests arrive at a fixed rate whether or not earlier ones are answered, and latency counts from the time a request was due, so that waiting is not hidden."],
        measured=[_facts(result)],
        missing=[f"{name}: no open loop was measured" for name in without],
    )  # fmt: skip


def busiest(servers: Mapping[str, Server]) -> tuple[str, dict[str, Latency]]:
    """The largest number of connections common to all servers, and the latency of each server that answered at it."""
    most = max(set.intersection(*(set(server["closed"]) for server in servers.values())), key=int)
    found = {name: server["closed"][most]["latency_ms"] for name, server in servers.items()}
    return most, {name: latency for name, latency in found.items() if latency}


def server_bars(result: ServingResult) -> list[Bar]:
    """Ours first, then the peers from fast to slow, then those without figures."""
    servers = measured_servers(result["servers"])
    peaks = {name: server["peak_per_second"] for name, server in servers.items()}
    order = sorted(result["servers"], key=lambda name: (name != OURS, -peaks.get(name, 0)))
    return [_bar(servers, name) for name in order]


def _bar(servers: Mapping[str, Server], name: str) -> Bar:
    if name not in servers:
        return Bar(name, None, "not measured")
    rounds, speed = best_connections(servers[name])["rounds"], servers[name]["peak_per_second"]
    ratio = f" · ours is {times(servers[OURS]['peak_per_second'] / speed)}" if name != OURS and OURS in servers else ""
    return Bar(name, speed, f"{number(speed)}{ratio}", "ours" if name == OURS else "peer", (min(rounds), max(rounds)))


def draw_servers(result: ServingResult, palette: Palette) -> Figure:
    """Bars, with the engine in process as the upper limit."""
    rows = _rows(result)
    figure, (panel,) = canvas(palette, bar_height(len(rows)))
    bars(panel, rows, palette, SERVERS_TITLE)
    return figure


def draw_overload(result: ServingResult, palette: Palette) -> Figure:
    """Goodput over the arrival rate, and latency below it."""
    figure, (top, bottom) = canvas(palette, OVERLOAD_HEIGHT, 2)
    _draw_overload(top, bottom, _open_loops(result), palette)
    return figure


def draw_servers_and_overload(result: ServingResult, palette: Palette) -> Figure:
    """Both charts in one picture, as far as they were measured."""
    rows, loops = _rows(result), _open_loops(result)
    if not loops:
        return draw_servers(result, palette)
    heights = [bar_height(len(rows)), OVERLOAD_HEIGHT / 2, OVERLOAD_HEIGHT / 2]
    figure, (first, top, bottom) = canvas(palette, sum(heights), 3, height_ratios=heights)
    bars(first, rows, palette, SERVERS_TITLE)
    _draw_overload(top, bottom, loops, palette)
    return figure


def _rows(result: ServingResult) -> list[Bar]:
    engine = result["engine"]["comments_per_second"]
    return [Bar("the engine in process, no HTTP", engine, number(engine), "limit"), *server_bars(result)]


def _draw_overload(top: Axes, bottom: Axes, loops: Mapping[str, Sequence[OpenLoop]], palette: Palette) -> None:
    marks = iter(MARKERS)
    for name, rounds in loops.items():
        ours = name == OURS
        look: dict[str, Any] = {
            "color": palette.ours if ours else palette.muted,
            "linewidth": 2 if ours else 1,
            "marker": "o" if ours else next(marks),
            "markersize": 5,
        }
        top.plot([facts["rate"] for facts in rounds], [facts["good_per_second"] for facts in rounds], **look)
        timed = [(facts["rate"], facts["latency_ms"]["p99"]) for facts in rounds if facts["latency_ms"]]
        bottom.plot([rate for rate, _ in timed], [p99 for _, p99 in timed], label=name, **look)
    every = [facts for rounds in loops.values() for facts in rounds]
    most = max(facts["rate"] for facts in every)
    top.plot([0, most], [0, most], color=palette.muted, linestyle="--", linewidth=1)
    bottom.plot([], [], color=palette.muted, linestyle="--", linewidth=1, label="all requests")
    top.set_ylim(0, 1.3 * max(facts["good_per_second"] for facts in every))
    bottom.set_yscale("log")
    bottom.set_yticks([10, 100, 1000, 10000], ["10 ms", "100 ms", "1 s", "10 s"])
    bottom.minorticks_off()
    bottom.set_xlabel("requests that arrive per second")
    legend(bottom, palette, columns=2)
    titled(top, "answered in time, per second", palette)
    titled(bottom, "99th percentile of latency", palette)
    for panel in (top, bottom):
        panel.set_xlim(0, 1.04 * most)
        gridded(panel, palette)


def _open_loops(result: ServingResult) -> dict[str, list[OpenLoop]]:
    servers = measured_servers(result["servers"])
    return {name: sorted(row["open"], key=lambda facts: facts["rate"]) for name, row in servers.items() if row["open"]}


def _on_peers(result: ServingResult) -> str:
    servers, peer = measured_servers(result["servers"]), best_peer(result)
    if OURS not in servers:
        return f"{OURS} was not measured."
    ours = servers[OURS]
    answer = f"{OURS} answers {number(ours['peak_per_second'])} requests per second, {percent(ours['share_of_engine'])} of its engine's speed without HTTP"
    if peer is None:
        return f"{answer}; no peer was measured."
    order = sorted((name for name in servers if name != OURS), key=lambda name: name != peer)
    ratios = [f"{times(ours['peak_per_second'] / servers[name]['peak_per_second'])} {name}" for name in order]
    return f"{answer}: {'; '.join(ratios).replace('× ', '× the best peer, ', 1)}."


def _on_overload(name: str, rounds: Sequence[OpenLoop]) -> str:
    sustained, last = sustained_rate(rounds), rounds[-1]
    holds = (
        f"answers {number(sustained['rate'])} requests per second in time"
        if sustained
        else "sustains none of the rates"
    )
    refused = last["status_shares"].get("429", 0)
    refusal = f", refuses {percent(refused)} with 429" if refused else ""
    latency = f" and has a p99 of {milliseconds(last['latency_ms']['p99'])}" if last["latency_ms"] else ""
    return (
        f"{name} {holds}; at {last['rate_over_peak']:g}× its peak ({number(last['rate'])}), "
        f"it still answers {percent(last['goodput_over_peak'])} of that peak in time{refusal}{latency}."
    )


def _range(latency: Latency) -> str:
    return f"{milliseconds(latency['p50'])} to {milliseconds(latency['p99'])}"


def _draw_latency(servers: Mapping[str, Server], palette: Palette) -> Figure:
    connections, rows = busiest(servers)
    figure, (panel,) = canvas(palette, bar_height(len(rows)) + 0.3)
    gridded(panel, palette, "x")
    for height, (name, latency) in enumerate(rows.items()):
        colour = palette.ours if name == OURS else palette.peer
        p50, p99 = latency["p50"], latency["p99"]
        row_name(panel, f"{name}: {_range(latency)}", height, palette, "bold" if name == OURS else "normal")
        panel.plot([p50, p99], [height, height], color=colour, linewidth=3, solid_capstyle="round")
        panel.plot(p50, height, "o", color=colour, markersize=7)
        panel.plot(p99, height, "|", color=colour, markersize=12, markeredgewidth=2.5)
    panel.set_yticks([])
    panel.set_ylim(len(rows) - 0.4, -0.8)
    panel.set_xlim(0, None)
    panel.set_xlabel("ms; ● median, | 99th percentile")
    titled(panel, f"latency with {connections} connections", palette)
    return figure


def _closed_table(servers: Mapping[str, Server]) -> Table:
    rows = [
        [
            name,
            connections,
            number(facts["requests_per_second"]),
            spread(min(facts["rounds"]), max(facts["rounds"])),
            *_latencies(facts["latency_ms"]),
            f"{facts['server_cpu_ms_per_request']:.1f}",
            number(facts["server_memory_mb"]),
            str(failures(facts)),
        ]
        for name, row in servers.items()
        for connections, facts in row["closed"].items()
    ]  # fmt: skip
    return Table("Closed loop", ["server", "connections", "requests/s", "range", *RANKS, "CPU ms/request", "memory, MB", "not answered with 200"], rows)  # fmt: skip


def _server_table(result: ServingResult) -> Table:
    rows = [
        [name, row["what"], f"{row['labels_alike']:.1%}", percent(row["share_of_engine"])]
        if "closed" in row
        else [name, row["what"], "", "not measured"]
        for name, row in result["servers"].items()
    ]
    return Table("Models of the servers", ["server", "runs", "labels equal to the engine's", "share of the engine's speed"], rows)  # fmt: skip


def _open_table(loops: Mapping[str, Sequence[OpenLoop]]) -> Table:
    rows = [
        [
            name,
            number(facts["rate"]),
            f"{facts['rate_over_peak']:g}×",
            number(facts["good_per_second"]),
            percent(facts["goodput_over_peak"]),
            *_latencies(facts["latency_ms"]),
            ", ".join(f"{code}: {percent(share)}" for code, share in facts["status_shares"].items()),
            str(facts["lost"] + facts["unanswered"]),
        ]
        for name, rounds in loops.items()
        for facts in rounds
    ]
    return Table("Open loop", ["server", "arrive/s", "of its peak", "answered in time/s", "of its peak", *RANKS, "by status", "lost"], rows)  # fmt: skip


def _facts(result: ServingResult) -> list[tuple[str, str]]:
    facts = (result["comments"], result["seed"])
    return provenance("serving", result, *facts, repeats=result["repeats"], seconds=result["seconds"])


def _latencies(latency: Latency | None) -> list[str]:
    return [milliseconds(latency[rank]) if latency else "" for rank in RANKS]

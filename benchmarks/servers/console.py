"""The figures of the serving benchmark on the terminal."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.latency import Latency, Rank
from benchmarks.servers.result import OpenLoop, ServerRow, ServingResult, failures, measured_servers


def summary(row: ServerRow) -> str:
    """One line about a server: its speed, or why there is none with the last line of its output."""
    if "closed" in row:
        return f"{row['peak_per_second']:.0f} requests/s, {row['share_of_engine']:.0%} of the engine in process"
    state, message = ("missing", row["missing"]) if "missing" in row else ("failed", row["failed"])
    reason, *output = message.splitlines()
    return f"{state}: {reason}" + (f" ({output[-1]})" if output else "")


def show(result: ServingResult, console: Console) -> None:
    """Print the figures of all servers, and a line for those without figures."""
    console.print(_closed_table(result))
    for name, row in result["servers"].items():
        if "closed" in row:
            if row["open"]:
                console.print(_open_table(name, row["open"]))
        else:
            console.print(f"{name}, {summary(row)}", markup=False, highlight=False)


def _closed_table(result: ServingResult) -> Table:
    engine = result["engine"]
    table = _table("closed loop", "", "conn", "per s", "share", "p50", "p99", "CPU", "MB", "bad", "alike")
    table.caption = (
        "conn: connections; share: of the engine's speed beside the server; p50, p99: latency in ms; CPU: ms per "
        "request; MB: memory; bad: not answered with 200; alike: labels equal to the engine's"
    )
    table.add_row(
        "engine, in process",
        "",
        f"{engine['comments_per_second']:.0f}",
        "",
        *_latencies(engine["latency_ms"]),
        f"{engine['cpu_ms_per_comment']:.1f}",
    )
    for name, server in measured_servers(result["servers"]).items():
        for connections, loop in server["closed"].items():
            table.add_row(
                name,
                connections,
                f"{loop['requests_per_second']:.0f}",
                f"{loop['requests_per_second'] / server['engine_beside']:.0%}",
                *_latencies(loop["latency_ms"]),
                f"{loop['server_cpu_ms_per_request']:.1f}",
                f"{loop['server_memory_mb']:.0f}",
                str(failures(loop)),
                _percent(server["labels_alike"]),
            )
    return table


def _open_table(name: str, rounds: list[OpenLoop]) -> Table:
    names = ("due/s", "of peak", "good/s", "of peak", "p50", "p99", "by status", "lost")
    table = _table(f"{name}, open loop", *names)
    table.caption = "peak: of the closed loops; good: answered with 200 within a second; p50, p99: latency since due, in ms; lost: unanswered"
    for loop in rounds:
        table.add_row(
            f"{loop['rate']:.0f}",
            f"{loop['rate_over_peak']:.0%}",
            f"{loop['good_per_second']:.0f}",
            f"{loop['goodput_over_peak']:.0%}",
            *_latencies(loop["latency_ms"]),
            ", ".join(f"{code}: {_percent(share)}" for code, share in loop["status_shares"].items()),
            str(loop["lost"] + loop["unanswered"]),
        )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 0, 0, 1))
    for column in columns:
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    return table


def _latencies(latency: Latency | None) -> list[str]:
    ranks: tuple[Rank, ...] = ("p50", "p99")
    return [f"{latency[rank]:.{1 if latency[rank] < 100 else 0}f}" if latency else "" for rank in ranks]


def _percent(share: float) -> str:
    return "100%" if share == 1 else f"{share:.1%}"

"""The serving benchmark's figures on the terminal."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


def outcome(measured: dict[str, Any]) -> str:
    """One line about a server: its speed, or why there is none, with the last that it said."""
    for state in ("missing", "failed"):
        if state in measured:
            reason, *output = measured[state].splitlines()
            return f"{state}: {reason}" + (f" ({output[-1]})" if output else "")
    return f"{measured['peak_per_second']:.0f} requests/s, {measured['share_of_engine']:.0%} of the engine beside it"


def show(result: dict[str, Any], console: Console) -> None:
    """Print the figures; servers without any are named."""
    console.print(_closed_table(result))
    for name, measured in result["servers"].items():
        if "open" in measured:
            console.print(_open_table(name, measured["open"]))
        elif "closed" not in measured:
            console.print(f"{name}, {outcome(measured)}", markup=False, highlight=False)


def _closed_table(result: dict[str, Any]) -> Table:
    engine = result["engine"]
    table = _table("closed loop", "", "at", "per s", "share", "p50", "p99", "CPU", "MB", "bad", "alike")
    table.caption = (
        "at: connections; share: of the engine's speed beside the server; p50, p99: latency in ms; CPU: ms per "
        "request; MB: memory; bad: not answered with 200; alike: labels that are the engine's"
    )
    table.add_row(
        "engine, in process",
        "",
        f"{engine['comments_per_second']:.0f}",
        "",
        *_latencies(engine),
        f"{engine['cpu_ms_per_comment']:.1f}",
    )
    for name, measured in result["servers"].items():
        for connections, facts in measured.get("closed", {}).items():
            table.add_row(
                name,
                connections,
                f"{facts['requests_per_second']:.0f}",
                f"{facts['requests_per_second'] / measured['engine_beside']:.0%}",
                *_latencies(facts),
                f"{facts['server_cpu_ms_per_request']:.1f}",
                f"{facts['server_memory_mb']:.0f}",
                str(_failures(facts)),
                _percent(measured["labels_alike"]),
            )
    return table


def _open_table(name: str, rounds: list[dict[str, Any]]) -> Table:
    names = ("due/s", "of peak", "good/s", "of peak", "p50", "p99", "by status", "lost")
    table = _table(f"{name}, open loop", *names)
    table.caption = "peak: the closed loop's; good: answered with 200 within a second; p50, p99: from when due, in ms; lost: unanswered"
    for facts in rounds:
        table.add_row(
            f"{facts['rate']:.0f}",
            f"{facts['rate_over_peak']:.0%}",
            f"{facts['good_per_second']:.0f}",
            f"{facts['goodput_over_peak']:.0%}",
            *_latencies(facts),
            ", ".join(f"{code}: {_percent(share)}" for code, share in facts["status_shares"].items()),
            str(facts["lost"] + facts["unanswered"]),
        )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 0, 0, 1))
    for column in columns:
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    return table


def _latencies(facts: dict[str, Any]) -> list[str]:
    latency = facts["latency_ms"]
    return [f"{latency[name]:.{1 if latency[name] < 100 else 0}f}" if latency else "" for name in ("p50", "p99")]


def _percent(share: float) -> str:
    return "100%" if share == 1 else f"{share:.1%}"


def _failures(facts: dict[str, Any]) -> int:
    refused = sum(count for code, count in facts["statuses"].items() if code != "200")
    return int(refused + facts["lost"] + facts["refused"] + facts["unanswered"])

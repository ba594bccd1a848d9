"""Types of serving.json and log_cost.json, written by benchmarks.servers and read by the report."""

from collections.abc import Mapping, Sequence
from typing import final

from typing_extensions import TypedDict

from benchmarks.latency import Latency
from benchmarks.result import OURS, Git, Head, Machine


class Load(TypedDict):
    """The load generator's report of one measurement."""

    due: int
    """Requests that were due."""
    statuses: dict[str, int]
    """Answers by HTTP status."""
    lost: int
    """Requests whose connection was lost."""
    refused: int
    """Connections that were refused."""
    unanswered: int
    accepted_per_second: float
    """Requests answered with 200 within the time of the measurement."""
    good_per_second: float
    """Requests answered with 200 soon enough after they were due."""
    latency_ms: Latency | None
    sent_late_ms: Latency | None
    generator_cpu_us_per_request: float


class Round(Load):
    """One measurement of a server."""

    server_cpu_ms_per_request: float
    server_memory_mb: float


class ClosedLoop(TypedDict):
    """A server with a fixed number of connections: medians over rounds, and sums of failures."""

    requests_per_second: float
    rounds: list[float]
    latency_ms: Latency | None
    statuses: dict[str, int]
    lost: int
    refused: int
    unanswered: int
    server_cpu_ms_per_request: float
    server_memory_mb: float
    generator_cpu_us_per_request: float


class OpenLoop(Round):
    """A server at a fixed arrival rate."""

    rate_over_peak: float
    """The arrival rate as a share of the peak of the closed loops."""
    rate: float
    goodput_over_peak: float
    status_shares: dict[str, float]
    """Shares of the due requests by HTTP status."""


@final
class Loops(TypedDict):
    """The measurements of one server."""

    labels_alike: float
    """Share of labels that equal the engine's."""
    labels_compared: int
    peak_per_second: float
    closed: dict[str, ClosedLoop]
    """By number of connections."""
    open: list[OpenLoop]
    """By rising arrival rate."""


@final
class Server(TypedDict):
    """A server that was measured: what it runs, its loops, and the engine beside it."""

    what: str
    labels_alike: float
    labels_compared: int
    peak_per_second: float
    closed: dict[str, ClosedLoop]
    open: list[OpenLoop]
    engine_beside: float
    """Comments per second of the engine in process, measured before and after the server."""
    share_of_engine: float


@final
class ServerMissing(TypedDict):
    """A server that cannot be measured here."""

    what: str
    missing: str


@final
class ServerFailed(TypedDict):
    """A server whose measurement failed."""

    what: str
    failed: str


ServerRow = Server | ServerMissing | ServerFailed


class EngineRound(TypedDict):
    """The engine in the benchmark's own process."""

    comments_per_second: float
    cpu_ms_per_comment: float
    latency_ms: Latency | None


class Engine(EngineRound):
    """Medians over rounds."""

    rounds: list[EngineRound]


class Bundle(TypedDict):
    """The bundle that all servers serve."""

    id: str
    family: str
    graph: str
    max_tokens: int


class Comments(TypedDict):
    """The comments that are sent."""

    file: str
    count: int
    seed: int
    mean_tokens: float
    median_tokens: float
    longest_tokens: int


class ServingResult(Head):
    """serving.json."""

    bundle: Bundle
    comments: Comments
    seed: int
    seconds: float
    repeats: int
    engine: Engine
    servers: dict[str, ServerRow]


class LogRound(TypedDict):
    """One round of the comparison with and without the prediction log."""

    requests_per_second: float
    cpu_ms_per_request: float


class LogPair(TypedDict):
    """Two rounds next to each other."""

    without: LogRound
    logging: LogRound


class Difference(TypedDict):
    """A relative difference over pairs of rounds: median and quartiles."""

    median: float
    low: float
    high: float


class LogCost(TypedDict):
    """log_cost.json."""

    machine: Machine
    git: Git
    seconds: float
    throughput: Difference
    processor_time: Difference
    rounds: list[LogPair]


def measured_servers(servers: Mapping[str, ServerRow]) -> dict[str, Server]:
    """The servers that were measured."""
    return {name: row for name, row in servers.items() if "closed" in row}


def best_connections(server: Server) -> ClosedLoop:
    """The closed loop with the highest throughput."""
    return max(server["closed"].values(), key=lambda loop: loop["requests_per_second"])


def best_peer(result: ServingResult) -> str | None:
    """Name of the fastest server other than ours; None if no other was measured."""
    peers = {name: row["peak_per_second"] for name, row in measured_servers(result["servers"]).items() if name != OURS}
    return max(peers, key=lambda name: peers[name]) if peers else None


def sustained_rate(rounds: Sequence[OpenLoop]) -> OpenLoop | None:
    """The open loop with the highest rate of which at least 95% was answered in time; None if there is none."""
    sustained = [loop for loop in rounds if loop["good_per_second"] >= 0.95 * loop["rate"]]
    return max(sustained, key=lambda loop: loop["rate"], default=None)


def failures(loop: ClosedLoop) -> int:
    """Requests that were not answered with 200."""
    refused = sum(count for code, count in loop["statuses"].items() if code != "200")
    return refused + loop["lost"] + loop["refused"] + loop["unanswered"]

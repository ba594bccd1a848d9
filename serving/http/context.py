"""What everybody who works on a request needs to know of it."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request


@dataclass
class Exchange:
    """A request and its answer, as far as everybody who works on it needs to know."""

    request_id: str
    deadline: float = 0.0
    """On the clock of time.monotonic."""
    caller: str = ""
    """The name of the API key's owner."""
    texts: int = 0
    tokens: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    """What tokenising, waiting and running took; empty where nothing was computed."""
    status: int = 0
    kind: str = ""
    """The error's, of a request that was not answered."""
    complete: bool = False
    disconnected: bool = False


def _of(request: Request) -> Exchange:
    exchange: Exchange = request.state.exchange
    return exchange


CurrentExchange = Annotated[Exchange, Depends(_of)]
"""How a route's function asks for it."""

"""The request context: the facts of a request that middleware, routes, logging and metrics share.

The middleware creates one per request and puts it into `scope["state"]`; a route's function gets it as a parameter of
type CurrentContext.
"""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from commentwise.serving.http.refusals import ErrorBody, ErrorModel


@dataclass
class RequestContext:
    """A request and the state of its answer."""

    request_id: str
    error: type[ErrorModel] = ErrorBody
    """The form of an error body, as the route's format declares it."""
    deadline: float = 0.0
    """On the clock of time.monotonic."""
    caller: str = ""
    """The name of the API key's owner."""
    texts: int = 0
    tokens: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    """Duration of each stage (tokenization, queue, inference, total); empty where nothing was computed."""
    status: int = 0
    """The HTTP status, once the response has started."""
    kind: str = ""
    """The kind of error where the request was refused or failed."""
    complete: bool = False
    """True once the response has been sent."""
    disconnected: bool = False
    """True if the client closed the connection before that."""


def _of(request: Request) -> RequestContext:
    context: RequestContext = request.state.context
    return context


CurrentContext = Annotated[RequestContext, Depends(_of)]
"""The type of a route function's parameter that gets the context."""

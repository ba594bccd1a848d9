"""uvicorn's HTTP protocol, with a time limit for a request's head."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0
"""Time limit for a new connection's first request head, and for each later head once it has begun."""


class HeadTimeoutProtocol(HttpToolsProtocol):
    """Closes connections whose request head arrives too slowly, or not at all (the Slowloris attack)."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the timer (called by asyncio)."""
        super().connection_made(transport)
        self._start()

    def on_message_begin(self) -> None:
        """Start the timer for the next head (called by the parser)."""
        super().on_message_begin()
        self._start()

    def on_headers_complete(self) -> None:
        """Stop the timer (called by the parser)."""
        self._end()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer (called by asyncio)."""
        self._end()
        super().connection_lost(exc)

    def _start(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

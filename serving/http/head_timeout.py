"""uvicorn's HTTP protocol, with patience for a request's head that ends."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0
"""Within which a new connection's first request, and the head of each later one, has to arrive whole."""


class PatientProtocol(HttpToolsProtocol):
    """Closes connections whose head comes in drop by drop, or not at all (the attack called Slowloris)."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin (asyncio calls it)."""
        super().connection_made(transport)
        self._start()

    def on_message_begin(self) -> None:
        """Note that a head begins (the parser calls it)."""
        super().on_message_begin()
        self._start()

    def on_headers_complete(self) -> None:
        """Note that a head is whole (the parser calls it)."""
        self._end()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """End (asyncio calls it)."""
        self._end()
        super().connection_lost(exc)

    def _start(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

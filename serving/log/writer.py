"""The log writer: the process that writes the prediction log, so that the server neither computes rows nor waits.

  python -m commentwise.serving.log.writer      (started by the server: see recorder.py)

Standard input is a socket, over which it receives batches and answers each once it is in the database. While the
database is away it waits, and the server buffers new entries.
"""

import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from commentwise.errors import CommentwiseError, run_command
from commentwise.models.prediction_log import connect, insert_predictions, prepare, reason
from commentwise.serving.events import log
from commentwise.serving.log.entry import LogEntry
from commentwise.serving.runtime.channel import Channel
from commentwise.serving.runtime.messages import EntriesWritten, OpenLog, WriteEntries

PAUSES = (0.1, 0.3, 1.0, 3.0)
"""Seconds between attempts to reach the database; the last one is repeated."""


def main() -> None:
    """Write batches until the server closes the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends it by closing the socket
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    channel = Channel(Connection(os.dup(sys.stdin.fileno())))
    try:
        opening = channel.receive()
        assert isinstance(opening, OpenLog)
        writer = Writer(opening.url)
        while True:
            batch = channel.receive()
            assert isinstance(batch, WriteEntries)
            rows = [LogEntry(*fields).row(opening.keep_text) for fields in batch.entries]
            channel.send(EntriesWritten(writer.write(rows)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


class Writer:
    """Writes to a database that may be away."""

    def __init__(self, url: str) -> None:
        self._engine = connect(url)
        self._prepared = False
        self._server = os.getppid()

    def write(self, rows: list[dict[str, Any]]) -> int:
        """Write rows, however long it takes; return the number written: all, or 0 where the database rejects them."""
        tries = 0
        while True:
            try:
                if not self._prepared:
                    prepare(self._engine)
                    self._prepared = True
                with self._engine.begin() as connection:
                    insert_predictions(connection, rows)
            except (OperationalError, InterfaceError) as error:  # it is away, or locked, or full
                if os.getppid() != self._server:  # the server is gone
                    raise CommentwiseError(
                        f"{len(rows)} predictions are lost: the log is away and the server gone"
                    ) from None
                if tries == 0:
                    log("prediction log away", "warning", reason=reason(error))
                self._engine.dispose()
                time.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
                tries += 1
            except SQLAlchemyError as error:  # a retry would not help
                log("predictions not logged", "error", rows=len(rows), reason=reason(error))
                return 0
            else:
                if tries:
                    log("prediction log back", "warning", tries=tries)
                return len(rows)


if __name__ == "__main__":
    run_command(main)

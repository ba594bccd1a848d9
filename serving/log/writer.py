"""The process that writes the prediction log, so that neither its work nor its waiting is the server's.

  python -m commentwise.serving.log.writer      (the server starts it: see serving/log/recorder.py)

It reads batches from standard input and answers each once it is in the database. A database that is away is
waited for; the server meanwhile keeps what comes.
"""

import os
import signal
import sys
import time
from typing import Any

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from commentwise.comments.traits import text_hash, traits_of
from commentwise.errors import CommentwiseError, run_command
from commentwise.models.prediction_log import connect, insert_predictions, prepare, reason
from commentwise.serving.events import log
from commentwise.serving.runtime.pipe import receive, send

PAUSES = (0.1, 0.3, 1.0, 3.0)
"""Seconds between two tries to reach the database; the last again and again."""


def main() -> None:
    """Write batches until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server says when it is time, by closing the pipe
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    url, keep_text = receive(sys.stdin.buffer)
    writer = Writer(url)
    while (batch := receive(sys.stdin.buffer)) is not None:
        send(sys.stdout.buffer, writer.write([row_of(entry, keep_text) for entry in batch]))


class Writer:
    """A log that is written to, whatever the database does."""

    def __init__(self, url: str) -> None:
        self._engine = connect(url)
        self._prepared = False
        self._server = os.getppid()

    def write(self, rows: list[dict[str, Any]]) -> int:
        """Write rows, however long that takes; return how many were written: all, or none where they are unfit."""
        tries = 0
        while True:
            try:
                if not self._prepared:
                    prepare(self._engine)
                    self._prepared = True
                with self._engine.begin() as connection:
                    insert_predictions(connection, rows)
            except (OperationalError, InterfaceError) as error:  # it is away, or locked, or full
                if os.getppid() != self._server:  # nobody is left to wait for
                    raise CommentwiseError(
                        f"{len(rows)} predictions are lost: the log is away and the server gone"
                    ) from None
                if tries == 0:
                    log("prediction log away", "warning", reason=reason(error))
                self._engine.dispose()
                time.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
                tries += 1
            except SQLAlchemyError as error:  # waiting would not help
                log("predictions not logged", "error", rows=len(rows), reason=reason(error))
                return 0
            else:
                if tries:
                    log("prediction log back", "warning", tries=tries)
                return len(rows)


def row_of(entry: tuple[Any, ...], keep_text: bool) -> dict[str, Any]:
    """A table's row from what the server sends (serving/log/recorder.py, `add`)."""
    (
        identity,
        when,
        request_id,
        position,
        bundle,
        text,
        ids,
        words,
        unknown,
        truncated,
        label,
        labels,
        shares,
        seconds,
    ) = entry
    signals = traits_of(text, ids, words, unknown)
    return {
        "id": identity,
        "time": when,
        "request_id": request_id,
        "position": position,
        "bundle_id": bundle,
        "text_hash": text_hash(text),
        "tokens": signals.tokens,
        "unknown_share": signals.unknown_share,
        "split_share": signals.split_share,
        "latin_share": signals.latin_share,
        "emoji_share": signals.emoji_share,
        "truncated": truncated,
        "label": label,
        "probabilities": {name: round(share, 6) for name, share in zip(labels, shares, strict=True)},
        "seconds": seconds,
        "text": text if keep_text else None,
    }


if __name__ == "__main__":
    run_command(main)

"""Deferring SIGINT and SIGTERM, so that training stops between two steps."""

import signal
import sys
from types import FrameType
from typing import Any, NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Context manager that records SIGINT and SIGTERM in `signal`. A second signal ends the process at once."""

    def __init__(self) -> None:
        self.signal = 0
        """The number of the received signal, 0 for none."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interrupt":
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._record)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _record(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            self.stop(number)
        self.signal = number

    def stop(self, number: int) -> NoReturn:
        """End the process as the signal would: with KeyboardInterrupt, or the exit status 128 + `number`."""
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        print("terminated: run the same command again to continue", file=sys.stderr)
        sys.exit(128 + number)

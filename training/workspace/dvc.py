"""Running DVC."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from commentwise.errors import CommentwiseError

INTERRUPTED = 252
"""DVC's exit status after Ctrl-C."""


def run_dvc(arguments: list[str], root: Path = Path(), show: Callable[[str], object] | None = None) -> None:
    """Run a DVC command in the project's folder; `show` gets the lines that it prints, instead of the terminal.

    Raises CommentwiseError when it fails, and KeyboardInterrupt on Ctrl-C.
    """
    # Stages call `python`, which must be the one that runs this.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    command, pipe = [sys.executable, "-m", "dvc", *arguments], subprocess.PIPE if show else None
    with (
        subprocess.Popen(
            command,
            cwd=root,
            env=os.environ | {"PATH": path} | ({"PYTHONUNBUFFERED": "1"} if show else {}),
            text=True,
            stdout=pipe,
            stderr=subprocess.STDOUT if show else None,
        ) as process,
        _deferred_interrupt() as interrupts,
    ):
        if process.stdout and show:
            for line in process.stdout:
                show(line.rstrip("\n"))
        status = process.wait()
    if interrupts or status == INTERRUPTED:
        raise KeyboardInterrupt
    if status:
        raise CommentwiseError(
            f"`dvc {' '.join(arguments)}` failed: fix the error above and run the same command again"
        )


@contextmanager
def _deferred_interrupt() -> Iterator[list[int]]:
    """Collect Ctrl-C instead of raising: DVC gets it, too, and ends when the stage has saved its state."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # which gets no signals
        yield received
        return
    before = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    try:
        yield received
    finally:
        signal.signal(signal.SIGINT, before)

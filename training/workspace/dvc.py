"""Running DVC. As a program, `python -m commentwise.training.workspace.dvc` is `dvc` without its messages after Ctrl-C."""

import codecs
import logging
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from commentwise.errors import INTERRUPTED, CommentwiseError, run_command

ROWS = 50
"""Of the terminal that a command sees."""
_LINE_END = re.compile(r"(\r*\n|\r(?=[^\n]))")
_INTERRUPTED_STAGE = (f", exited with {INTERRUPTED}", f", exited with {-signal.SIGINT}")
"""The ends of DVC's errors about a stage that Ctrl-C ended; the second one if its shell ended, too."""
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run_dvc(
    arguments: list[str], root: Path = Path(), show: Callable[[str], object] | None = None, width: int | None = None
) -> None:
    """Run a DVC command in the project's folder; `show` gets the lines that it prints, instead of the terminal.

    With a `width`, the command sees a terminal of that many columns; its progress bars are lines that end with `\\r`.
    Raises CommentwiseError when it fails. On Ctrl-C the stage or DVC says how to continue, and SystemExit ends this
    process too; with `show` it is KeyboardInterrupt.
    """
    # Stages call `python`, which must be the one that runs this.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    command = [sys.executable, "-m", "commentwise.training.workspace.dvc", *arguments]
    # DVC's own choice is sh, which ends on Ctrl-C before its command does; bash is replaced by its command.
    shell = os.environ.get("SHELL") or shutil.which("bash") or "/bin/sh"
    variables = os.environ | {"PATH": path, "SHELL": shell} | ({"PYTHONUNBUFFERED": "1"} if show else {})
    reader, writer = (_terminal(width) if width else os.pipe()) if show else (None, None)
    with (
        subprocess.Popen(command, cwd=root, env=variables, stdout=writer, stderr=writer) as process,
        _deferred_interrupt() as interrupts,
    ):
        if show and reader is not None and writer is not None:
            os.close(writer)
            for line in _lines(reader):
                show(line)
        status = process.wait()
    if status == INTERRUPTED and not show:
        raise SystemExit(INTERRUPTED)
    if interrupts or status == INTERRUPTED:
        raise KeyboardInterrupt
    if status:
        raise CommentwiseError(
            f"`dvc {' '.join(arguments)}` failed: fix the error above and run the same command again"
        )


def _terminal(width: int) -> tuple[int, int]:
    """The two ends of a new terminal."""
    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (ROWS, width))
    return reader, writer


def _lines(reader: int) -> Iterator[str]:
    """Lines without colours and movements of the cursor, until the last writer has closed; then close `reader`.

    A line that the next one overwrites ends with `\\r`.
    """
    rest, decoder = "", codecs.getincrementaldecoder("utf-8")("replace")
    try:
        while chunk := _read(reader):
            *complete, rest = _LINE_END.split(rest + decoder.decode(chunk))
            for line, end in zip(complete[::2], complete[1::2], strict=True):
                yield _CONTROL.sub("", line) + ("\r" if end == "\r" else "")
        if rest:
            yield _CONTROL.sub("", rest)
    finally:
        os.close(reader)


def _read(reader: int) -> bytes:
    try:
        return os.read(reader, 4096)
    except OSError:  # a terminal's way to say that nobody writes any more
        return b""


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


def main() -> None:
    """Run the DVC command on the command line, and exit with its status."""
    import dvc.cli

    interruption = _Interruption()
    logging.getLogger("dvc.cli").addFilter(interruption)
    status = dvc.cli.main(sys.argv[1:])
    if interruption.error:
        raise interruption.error
    sys.exit(status)


class _Interruption(logging.Filter):
    """Keeps Ctrl-C out of DVC's log, as the `error` that it is to end this process with."""

    def __init__(self) -> None:
        super().__init__()
        self.error: BaseException | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """True for other records."""
        error = record.exc_info[1] if record.exc_info else None
        while error:
            if isinstance(error, KeyboardInterrupt):
                self.error = error
                return False
            if str(error).endswith(_INTERRUPTED_STAGE):  # DVC ignores the signal while a stage runs
                self.error = SystemExit(INTERRUPTED)  # the stage has said how to continue
                return False
            error = error.__cause__ or error.__context__
        return True


if __name__ == "__main__":
    run_command(main)

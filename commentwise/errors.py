"""The error that users see, and the function that prints it."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
"""The exit status after Ctrl-C."""
_CONTINUE = "interrupted: run the same command again to continue"


class CommentwiseError(Exception):
    """An error that the user can act on.

    The message is one line that names the thing, its value and the way out.
    """


def run_command(main: Callable[[], None]) -> None:
    """Run the main function of a command; print a foreseeable failure as one line on stderr.

    Exits with 1 after an error and with 130 after Ctrl-C. Any other exception is a bug and keeps its traceback.
    """
    try:
        end_on_ctrl_c(False)
        main()
    except CommentwiseError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        print(_CONTINUE, file=sys.stderr)
        sys.exit(INTERRUPTED)
    except FileNotFoundError as error:
        _fail(f"{error.filename or error} is missing: run `commentwise run`, or restore it with `dvc checkout`")
    except Exception as error:
        if not disk_is_full(error):
            raise
        filename = getattr(error, "filename", None)
        where = f" while writing {filename}" if filename else ""
        _fail(f"the disk is full{where}: free some space and run the same command again; nothing half-written is left")


def end_on_ctrl_c(at_once: bool) -> None:
    """Make Ctrl-C end the process at once, or with KeyboardInterrupt again.

    At once is for imports, which take seconds: nothing can be lost, and libraries turn KeyboardInterrupt into other
    errors. Does nothing where the signal is ignored or has a handler of somebody else.
    """
    before, after = (signal.default_int_handler, _end) if at_once else (_end, signal.default_int_handler)
    if signal.getsignal(signal.SIGINT) is before:
        signal.signal(signal.SIGINT, after)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    print(_CONTINUE, file=sys.stderr, flush=True)
    os._exit(INTERRUPTED)


def first_line(error: Exception) -> str:
    """The first line of an error's message, at most 200 characters; the name of its class if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def disk_is_full(error: Exception) -> bool:
    """True if an error of Python or of a compiled library says that the disk is full."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # Compiled libraries (safetensors, SQLite) raise exceptions of their own with these words.
    return os.strerror(errno.ENOSPC) in str(error) or "disk is full" in str(error)


def _fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)

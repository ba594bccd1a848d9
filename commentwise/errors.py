"""The one error type that people see, and the one place that prints it."""

import errno
import os
import sys
from collections.abc import Callable


class CommentwiseError(Exception):
    """A problem the person at the keyboard can act on.

    The message is one line that names the thing, the value and the way out.
    """


def run_command(main: Callable[[], None]) -> None:
    """Run a command's main function; turn foreseeable failures into one line on stderr.

    Exits with 1 after an error and with 130 after Ctrl-C. Anything else is a bug and keeps its traceback.
    """
    try:
        main()
    except CommentwiseError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        print("interrupted: run the same command again to continue", file=sys.stderr)
        sys.exit(130)
    except FileNotFoundError as error:
        _fail(f"{error.filename or error} is missing: run `dvc repro`, or get it back with `dvc checkout`")
    except Exception as error:
        if not _disk_is_full(error):
            raise
        filename = getattr(error, "filename", None)
        where = f" while writing {filename}" if filename else ""
        _fail(f"the disk is full{where}: free some space and run the same command again; nothing half-written is left")


def _disk_is_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # Libraries in other languages (safetensors, SQLite) raise errors of their own, with these words.
    return os.strerror(errno.ENOSPC) in str(error) or "disk is full" in str(error)


def _fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)

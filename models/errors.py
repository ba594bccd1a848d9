"""The one error type that people see, and the one place that prints it."""

import errno
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
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" while writing {error.filename}" if error.filename else ""
        _fail(f"the disk is full{where}: free some space and run the same command again; nothing half-written is left")
    except KeyboardInterrupt:
        print("interrupted: run the same command again to continue", file=sys.stderr)
        sys.exit(130)


def _fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)

"""Running DVC in this process."""

import logging
import os
import sys
from pathlib import Path

from commentwise.errors import INTERRUPTED, CommentwiseError


def run_dvc(arguments: list[str]) -> None:
    """Run a DVC command in the current folder.

    Raises CommentwiseError when it fails. Ctrl-C raises KeyboardInterrupt, or SystemExit where a stage was running, which
    has said how to continue.
    """
    import dvc.cli

    # Stages call `python`, which must be the one that runs this.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    log, interruption = logging.getLogger("dvc.cli"), _Interruption()
    log.addFilter(interruption)
    try:
        status = dvc.cli.main(arguments)
    finally:
        log.removeFilter(interruption)
    if interruption.error:
        raise interruption.error
    if status:
        raise CommentwiseError(
            f"`dvc {' '.join(arguments)}` failed: fix the error above and run the same command again"
        )


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
            if str(error).endswith(f", exited with {INTERRUPTED}"):  # DVC ignores the signal while a stage runs
                self.error = SystemExit(INTERRUPTED)
                return False
            error = error.__cause__ or error.__context__
        return True

"""Running DVC in this process."""

import os
import sys
from pathlib import Path

from commentwise.errors import CommentwiseError

INTERRUPTED = 252
"""DVC's exit status after Ctrl-C."""


def run_dvc(arguments: list[str]) -> None:
    """Run a DVC command in the current folder. Raises CommentwiseError when it fails, and KeyboardInterrupt on Ctrl-C."""
    import dvc.cli

    # Stages call `python`, which must be the one that runs this.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    status = dvc.cli.main(arguments)
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    if status:
        raise CommentwiseError(
            f"`dvc {' '.join(arguments)}` failed: fix the error above and run the same command again"
        )

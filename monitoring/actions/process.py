"""Run commands as processes of their own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from commentwise.errors import CommentwiseError


def run(module: str, *arguments: str, root: Path = Path(), environment: Mapping[str, str] | None = None) -> None:
    """Run `python -m module` in the folder `root`, with its output shown. Raises CommentwiseError when it fails.

    `environment` replaces that of this process.
    """
    environment = os.environ if environment is None else environment
    # DVC's stages call `python`: make it this one, even where its virtual environment is not activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=root, env={**environment, "PATH": path}, check=False)
    if done.returncode:
        raise CommentwiseError(f"{' '.join([module, *arguments])} failed: fix the error above, and run this again")

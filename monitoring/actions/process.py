"""Running the project's other commands as processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

from commentwise.errors import CommentwiseError


def run(module: str, *arguments: str, **variables: str) -> None:
    """Run `python -m module`; what it prints is shown. Raises CommentwiseError when it fails."""
    # DVC's stages say `python`: it is this one, also where nobody has activated the environment.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = os.environ | {"PATH": path} | variables
    done = subprocess.run([sys.executable, "-m", module, *arguments], env=environment, check=False)
    if done.returncode:
        raise CommentwiseError(f"{' '.join([module, *arguments])} failed: mend what stands above, and run this again")

"""Where Chromium is. Chrome itself loads no extension from the command line any more."""

import os
import shutil
from pathlib import Path

# The binary itself: Debian's wrapper around it has a --load-extension of its own.
_PLACES = ("/usr/lib/chromium/chromium", "/usr/lib/chromium-browser/chromium-browser")
MISSING = (
    "Chromium is not installed, so every test of the extension in a browser was left out: "
    "install it (Debian: apt-get install chromium), or name its binary in CHROMIUM"
)


def chromium() -> str | None:
    """The binary's path; None where there is none."""
    named = os.environ.get("CHROMIUM")
    if named and not Path(named).is_file():
        raise FileNotFoundError(f"CHROMIUM names {named}, and there is no such file")
    return named or next((place for place in _PLACES if Path(place).is_file()), None) or shutil.which("chromium")

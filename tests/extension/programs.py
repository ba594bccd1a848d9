"""The programs that the extension's tests run. Chrome itself no longer loads extensions from the command line."""

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXTENSION = ROOT / "extension"
TSC = EXTENSION / "node_modules" / ".bin" / "tsc"
MIN_NODE = 20
MIN_CHROMIUM = int(json.loads((EXTENSION / "manifest.json").read_text(encoding="utf-8"))["minimum_chrome_version"])

# The binary itself: Debian's wrapper script passes its own --load-extension.
_PLACES = ("/usr/lib/chromium/chromium", "/usr/lib/chromium-browser/chromium-browser")
NO_CHROMIUM = (
    f"no Chromium {MIN_CHROMIUM} or newer: all browser tests of the extension were skipped. "
    "Install it (Debian: apt-get install chromium), or name its binary in CHROMIUM"
)
NO_NODE = f"no Node.js {MIN_NODE} or newer: the extension's unit tests and type check were skipped. Install it with npm"
NO_TSC = "no extension/node_modules: the extension's type check was skipped. Run npm ci --prefix extension"


@cache
def chromium() -> str | None:
    """The path of a Chromium that can run the extension, or None."""
    named = os.environ.get("CHROMIUM")
    if named and not Path(named).is_file():
        raise FileNotFoundError(f"CHROMIUM is {named}, which does not exist")
    found = named or next((place for place in _PLACES if Path(place).is_file()), None) or shutil.which("chromium")
    return found if found and _major_version(found) >= MIN_CHROMIUM else None


@cache
def node() -> str | None:
    """The path of a Node.js that can run the unit tests, or None."""
    found = shutil.which("node")
    return found if found and _major_version(found) >= MIN_NODE else None


def _major_version(program: str) -> int:
    output = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    found = re.search(r"(\d+)\.\d", output)
    return int(found[1]) if found else 0


def need(found: object, message: str) -> None:
    """Skip a test with a message if something is missing; on CI that is a failure."""
    if not found and not os.environ.get("CI"):
        pytest.skip(message)
    assert found, message

"""The programs that the extension's tests run. Chrome itself loads no extension from the command line any more."""

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
OLDEST_NODE = 20
OLDEST_CHROMIUM = int(json.loads((EXTENSION / "manifest.json").read_text(encoding="utf-8"))["minimum_chrome_version"])

# The binary itself: Debian's wrapper around it has a --load-extension of its own.
_PLACES = ("/usr/lib/chromium/chromium", "/usr/lib/chromium-browser/chromium-browser")
NO_CHROMIUM = (
    f"no Chromium {OLDEST_CHROMIUM} or newer: every test of the extension in a browser was left out. "
    "Install it (Debian: apt-get install chromium), or name its binary in CHROMIUM"
)
NO_NODE = f"no Node.js {OLDEST_NODE} or newer: the extension's unit tests and types were left out. Install it with npm"
NO_TSC = "no extension/node_modules: the extension's types were left out. Run npm ci --prefix extension"


@cache
def chromium() -> str | None:
    """The path of a Chromium that runs the extension; None where there is none."""
    named = os.environ.get("CHROMIUM")
    if named and not Path(named).is_file():
        raise FileNotFoundError(f"CHROMIUM names {named}, and there is no such file")
    found = named or next((place for place in _PLACES if Path(place).is_file()), None) or shutil.which("chromium")
    return found if found and _major_version(found) >= OLDEST_CHROMIUM else None


@cache
def node() -> str | None:
    """The path of a Node.js that runs the unit tests; None where there is none."""
    found = shutil.which("node")
    return found if found and _major_version(found) >= OLDEST_NODE else None


def _major_version(program: str) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    found = re.search(r"(\d+)\.\d", said)
    return int(found[1]) if found else 0


def need(found: object, message: str) -> None:
    """Leave a test out, and say so, where something is not found; on CI that is a failure."""
    if not found and not os.environ.get("CI"):
        pytest.skip(message)
    assert found, message

"""The extension's own checks: types, and unit tests in Node.js."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TSC = ROOT / "extension" / "node_modules" / ".bin" / "tsc"
NO_NODE = "Node.js 20 or newer is not installed, so the extension's unit tests and types were left out"


def run(*command: str | Path) -> None:
    if shutil.which("node") is None and not os.environ.get("CI"):
        pytest.skip(NO_NODE)
    done = subprocess.run(command, cwd=ROOT / "extension", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_unit_tests() -> None:
    run("node", "--test", *sorted((ROOT / "tests" / "extension" / "unit").glob("*.test.mjs")))


def test_types() -> None:
    if not TSC.exists() and not os.environ.get("CI"):
        pytest.skip(
            "extension/node_modules is missing, so the extension's types were left out: npm ci --prefix extension"
        )
    run(TSC, "--project", "tsconfig.json")

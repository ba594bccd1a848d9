"""The extension's own checks: types, and unit tests in Node.js."""

import subprocess
from pathlib import Path

from tests.extension.programs import EXTENSION, NO_NODE, NO_TSC, ROOT, TSC, need, node


def run(*command: str | Path) -> None:
    done = subprocess.run(command, cwd=EXTENSION, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_unit_tests() -> None:
    need(node(), NO_NODE)
    run("node", "--test", *sorted((ROOT / "tests" / "extension" / "unit").glob("*.test.mjs")))


def test_types() -> None:
    need(node(), NO_NODE)
    need(TSC.exists(), NO_TSC)
    run(TSC, "--project", "tsconfig.json")

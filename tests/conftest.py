import os
import shutil
import signal
from pathlib import Path

import pytest

# Models this small are fastest on one thread, and spinning threads would starve the servers that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.tiny import write_tiny_bundle

# A job in the background ignores Ctrl-C, and so would every process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real bundle that every test shares: read it only."""
    folder = tmp_path_factory.mktemp("tiny") / "bundle"
    folder.mkdir()
    write_tiny_bundle(folder)
    return folder


@pytest.fixture(scope="session")
def slow_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like the tiny one, but a comment takes a while."""
    folder = tmp_path_factory.mktemp("slow") / "bundle"
    folder.mkdir()
    write_tiny_bundle(folder, slow=True)
    return folder


@pytest.fixture
def bundle_copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle that the test may damage."""
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")

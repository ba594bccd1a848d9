import os
import shutil
import signal
from pathlib import Path

import pytest

# One thread is fastest for tiny models, and spinning threads would starve the servers that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.tiny import write_tiny_bundle

# Background jobs ignore SIGINT, and processes started by tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny real bundle, shared by all tests: do not change it."""
    folder = tmp_path_factory.mktemp("tiny") / "bundle"
    folder.mkdir()
    write_tiny_bundle(folder)
    return folder


@pytest.fixture(scope="session")
def slow_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny bundle with a delay of about a tenth of a second per comment, shared by all tests."""
    folder = tmp_path_factory.mktemp("slow") / "bundle"
    folder.mkdir()
    write_tiny_bundle(folder, slow=True)
    return folder


@pytest.fixture
def bundle_copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle that the test may change."""
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with several versions and experiments (tests/lab.py), shared by all tests: do not change it."""
    from tests.lab import build  # imports torch, which most tests do without

    return build(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def lab(lab_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project of `lab_folder` as the current folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(lab_folder)
    return lab_folder

"""A file of comments that takes `commentwise score` a while."""

import shutil
from pathlib import Path

import pytest

from tests.serving.scoring import MANY, write_rows


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with many.csv, which tests only read."""
    folder = tmp_path_factory.mktemp("many")
    write_rows(folder / "many.csv", [{"id": i, "text": f"{i} is a good video {i}"} for i in range(MANY)])
    return folder


@pytest.fixture
def busy(many: Path, tmp_path: Path) -> Path:
    """A folder with a many.csv of its own."""
    shutil.copy2(many / "many.csv", tmp_path)
    return tmp_path

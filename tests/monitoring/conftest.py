from pathlib import Path

import pytest

from tests.monitoring.production import Production


@pytest.fixture
def production(tmp_path: Path, tiny_bundle: Path) -> Production:
    """A reference, and an empty log."""
    return Production(tmp_path, tiny_bundle)


@pytest.fixture(scope="module")
def drifted(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Production:
    """Three windows of usual comments, then two of different ones. Do not change it."""
    production = Production(tmp_path_factory.mktemp("drifted"), tiny_bundle)
    production.log([*production.usual(150), *production.different(100)])
    return production

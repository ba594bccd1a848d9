from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.extension.browser import Browser, opened
from tests.extension.programs import chromium
from tests.extension.relay import Relay, relaying
from tests.serving.process import started

# Without a browser, test_left_out.py reports once what was skipped.
collect_ignore_glob = [] if chromium() else ["test_in_browser_*.py"]


@pytest.fixture(scope="session")
def server(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with started(tmp_path_factory.mktemp("server"), "--model", str(tiny_bundle)) as running:
        yield running.url


@pytest.fixture
def relay(server: str) -> Iterator[Relay]:
    with relaying(server) as running:
        yield running


@pytest.fixture
def browser(relay: Relay, tmp_path: Path) -> Iterator[Browser]:
    """A browser in which the extension is set up."""
    with opened(tmp_path, relay) as ready:
        ready.settings()
        yield ready

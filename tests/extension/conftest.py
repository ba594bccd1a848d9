import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serving.demo import free_port
from tests.extension.chromium import chromium
from tests.extension.relay import Relay, relaying
from tests.serving.process import PATIENCE, end, spawn

# Without a browser, test_chromium.py tells once what was left out.
collect_ignore_glob = [] if chromium() else ["test_in_browser_*.py"]


@contextmanager
def serving(folder: Path, *flags: str) -> Iterator[str]:
    """A real server, for as long as it is needed; its address."""
    port = free_port()
    process = spawn(folder, "--port", str(port), "--log-level", "warning", *flags)
    watchdog = threading.Timer(PATIENCE, process.kill)  # until it listens
    watchdog.start()
    try:
        assert process.stdout is not None
        first_line = process.stdout.readline()
        watchdog.cancel()
        if not first_line:
            raise AssertionError(f"the server did not start: {process.communicate()[1]}")
        yield f"http://127.0.0.1:{port}"
    finally:
        watchdog.cancel()
        end(process)


@pytest.fixture(scope="session")
def server(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("server"), "--model", str(tiny_bundle)) as url:
        yield url


@pytest.fixture
def relay(server: str) -> Iterator[Relay]:
    with relaying(server) as running:
        yield running


if chromium():
    from tests.extension.browser import Browser, opened

    @pytest.fixture
    def browser(relay: Relay, tmp_path: Path) -> Iterator[Browser]:
        """A browser whose user has set the extension up."""
        with opened(tmp_path, relay) as ready:
            ready.settings()
            yield ready

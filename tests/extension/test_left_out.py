import os

import pytest

from tests.extension.chromium import MISSING, chromium


def test_chromium_is_there_for_the_tests_in_a_browser() -> None:
    if chromium() is None and not os.environ.get("CI"):
        pytest.skip(MISSING)
    assert chromium(), MISSING

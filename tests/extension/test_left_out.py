from tests.extension.programs import NO_CHROMIUM, chromium, need


def test_browser_tests_are_not_skipped() -> None:
    need(chromium(), NO_CHROMIUM)

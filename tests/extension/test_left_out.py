from tests.extension.programs import NO_CHROMIUM, chromium, need


def test_no_test_in_a_browser_is_left_out() -> None:
    need(chromium(), NO_CHROMIUM)

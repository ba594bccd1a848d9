import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.extension.browser import Browser, opened
from tests.extension.relay import relaying
from tests.serving.process import started

pytestmark = pytest.mark.slow

BADGES = ".commentwise-badge"


def numbered(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"id": f"Ug{n}", "text": f"{'good' if n % 2 else 'bad'} {n}"} for n in range(start, start + count)]


def expect_right_badges(page: Page, count: int) -> None:
    """Each badge has its own comment's sentiment."""
    expect(page.locator(BADGES)).to_have_count(count, timeout=60_000)
    script = "all => all.map(one => one.querySelector('#content-text').textContent.split(' ')[0] + one.querySelector('.commentwise-badge').textContent[0])"
    assert set(page.locator("#comment").evaluate_all(script)) == {"good▲", "bad▼"}


def test_the_request_is_repeated_if_the_worker_is_killed(browser: Browser) -> None:
    page = browser.watch()
    page.evaluate("add", numbered(1))
    expect(page.locator(BADGES)).to_have_count(1)
    browser.relay.hold()
    page.evaluate("add", numbered(4, start=1))
    browser.relay.wait_for(2)
    browser.kill_worker()
    browser.relay.release()
    expect_right_badges(page, 5)


def test_the_cache_survives_a_killed_worker(browser: Browser) -> None:
    page = browser.watch()
    page.evaluate("add", numbered(4))
    expect(page.locator(BADGES)).to_have_count(4)
    browser.kill_worker()
    again = browser.watch(video="video2")
    again.evaluate("add", numbered(4))
    expect_right_badges(again, 4)
    assert len(browser.relay.texts()) == 1


def test_leaving_aborts_the_request_to_the_server(browser: Browser) -> None:
    page = browser.watch()
    page.evaluate("add", numbered(1))
    expect(page.locator(BADGES)).to_have_count(1)
    browser.relay.hold()
    page.evaluate("add", numbered(2, start=5))
    browser.relay.wait_for(2)
    with browser.context.expect_event("requestfailed", lambda request: request.url.endswith("/analyze")):
        page.evaluate("navigate('/')")


@pytest.mark.parametrize("flags", [["--rate-limit", "1"], ["--max-batch", "7"], ["--max-body", "600"]])
def test_the_limits_of_the_server_are_respected(tiny_bundle: Path, tmp_path: Path, flags: list[str]) -> None:
    (tmp_path / "server").mkdir()
    with (
        started(tmp_path / "server", "--model", str(tiny_bundle), *flags) as server,
        relaying(server.url) as relay,
        opened(tmp_path, relay) as browser,
    ):
        browser.settings()
        page = browser.watch()
        page.evaluate("add", numbered(30))
        expect_right_badges(page, 30)


def test_a_new_bundle_invalidates_cached_answers(tiny_bundle: Path, tmp_path: Path, browser: Browser) -> None:
    page = browser.watch()
    page.evaluate("add", numbered(2))
    expect_right_badges(page, 2)
    answer = {
        "sentiment": "neutral",
        "confidence": 0.9,
        "probabilities": {"negative": 0.05, "neutral": 0.9, "positive": 0.05},
    }
    answer |= {"unsure": False, "tokens": 3, "truncated": False}
    swapped = json.dumps({"results": [answer], "bundle_id": "0" * 64})
    browser.relay.answers.append((200, {"Content-Type": "application/json"}, swapped))
    again = browser.watch(video="video2")
    again.evaluate("add", numbered(3))
    # The first answer came from another bundle, so the extension fetches /info again, and the rest.
    expect_right_badges(again, 3)
    assert [seen.path for seen in browser.relay.seen] == ["/info", "/analyze", "/analyze", "/info", "/analyze"]


def test_the_key_is_sent_to_the_server_and_hidden_from_pages(browser: Browser) -> None:
    browser.settings(key="a-secret-key")
    page = browser.watch()
    page.evaluate("add", numbered(2))
    expect(page.locator(BADGES)).to_have_count(2)
    assert {seen.headers.get("Authorization") for seen in browser.relay.seen} == {"Bearer a-secret-key"}
    session = browser.context.new_cdp_session(page)
    contexts: list[dict[str, Any]] = []
    session.on("Runtime.executionContextCreated", lambda event: contexts.append(event["context"]))
    session.send("Runtime.enable")
    (own,) = [context for context in contexts if context["origin"] + "/" == browser.base]
    script = """(async () => {
        const read = await chrome.storage.local.get().then(JSON.stringify, error => "refused");
        const reply = JSON.stringify(await chrome.runtime.sendMessage({type: "setup"}));
        return [read, reply];
    })()"""
    evaluation = {"expression": script, "contextId": own["id"], "awaitPromise": True, "returnByValue": True}
    read, reply = session.send("Runtime.evaluate", evaluation)["result"]["value"]
    assert read == "refused"
    assert "a-secret-key" not in reply
    assert browser.relay.url not in reply


def test_nothing_is_sent_elsewhere(browser: Browser) -> None:
    page = browser.watch()
    page.evaluate("add", numbered(3))
    expect(page.locator(BADGES)).to_have_count(3)
    browser.popup(page)
    browser.options()
    allowed = (browser.relay.url, browser.base, "https://www.youtube.com/", "data:", "blob:")
    assert [url for url in browser.requested if not url.startswith(allowed)] == []

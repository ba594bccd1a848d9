"""Every problem state, with its message and its way out."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.extension.browser import ARTICLE, ELSEWHERE, Browser, opened
from tests.extension.relay import Relay, relaying
from tests.serving.process import started

pytestmark = pytest.mark.slow

PATIENCE_MS = 40_000
TEXT = "something nobody else may read"


def trouble(page: Page) -> Any:
    return page.locator("#trouble")


def popup_with_text(browser: Browser) -> Page:
    """The popup after submitting a text."""
    popup = browser.popup(browser.article("<p>page</p>"))
    ask(popup)
    return popup


def ask(popup: Page) -> None:
    popup.get_by_label("Or type a text").fill("good video")
    popup.get_by_role("button", name="Classify").click()


def test_not_configured(browser: Browser) -> None:
    browser.settings(server="", consent="")
    popup = browser.popup(browser.article("<p>page</p>"))
    expect(trouble(popup)).to_contain_text("Not set up yet")
    with browser.context.expect_page() as opening:
        popup.get_by_role("button", name="Open settings").click()
    expect(opening.value.get_by_text("Nothing is sent before you agree below.")).to_be_visible()


def test_nothing_is_sent_without_consent(browser: Browser) -> None:
    browser.settings(consent="")
    page = browser.watch()
    page.evaluate("add([{id: 'Ug1', text: 'good'}])")
    popup = browser.popup(page)
    expect(trouble(popup)).to_contain_text("Not set up yet")
    expect(page.locator("[class^=commentwise]")).to_have_count(0)
    assert browser.relay.seen == []


def test_no_permission(relay: Relay, tmp_path: Path) -> None:
    with opened(tmp_path, relay, granted=[f"{ARTICLE}/*"]) as browser:
        browser.settings()
        popup = browser.popup(browser.article("<p>page</p>"))
        expect(trouble(popup)).to_contain_text("No access to your server")
        expect(popup.get_by_role("button", name="Allow access")).to_be_visible()
        expect(popup.get_by_role("button", name="Open settings")).to_be_visible()
        assert relay.seen == []


def test_access_granted_later(browser: Browser) -> None:
    browser.worker.evaluate("() => { chrome.permissions.contains = async () => false }")
    page = browser.watch()
    page.evaluate("add([{id: 'Ug1', text: 'good'}])")
    expect(page.locator(".commentwise-status")).to_contain_text("No access to your server")
    browser.worker.evaluate("""() => {
        chrome.permissions.contains = async () => true;
        chrome.permissions.onAdded.dispatch({origins: []});  // as after a click on Allow
    }""")
    expect(page.locator(".commentwise-badge")).to_be_visible()


def test_offline(relay: Relay, tmp_path: Path) -> None:
    elsewhere = relay.url.replace("127.0.0.1", ELSEWHERE)
    with opened(tmp_path, relay, granted=[f"{elsewhere}/*", f"{ARTICLE}/*"]) as browser:
        browser.settings(server=elsewhere, consent=elsewhere)
        page = browser.watch()
        popup = browser.popup(browser.article("<p>page</p>"))
        browser.context.set_offline(True)
        page.evaluate("add([{id: 'Ug1', text: 'good'}])")
        status = page.locator(".commentwise-status")
        expect(status).to_contain_text("You are offline")
        ask(popup)
        expect(trouble(popup)).to_contain_text("You are offline")
        browser.context.set_offline(False)
        expect(page.locator(".commentwise-badge")).to_have_text("▲ 95%")
        expect(status).to_be_empty()
        trouble(popup).get_by_role("button", name="Try again").click()
        expect(popup.locator(".verdict")).to_contain_text("positive")
        expect(popup.get_by_label("Or type a text")).to_have_value("good video")


def test_server_down(browser: Browser, tmp_path: Path, server: str) -> None:
    down = "http://127.0.0.1:9"  # nothing listens on the discard port
    browser.settings(server=down, consent=down)
    browser.worker.evaluate("() => { chrome.permissions.contains = async () => true }")
    page = browser.watch()
    page.evaluate("add([{id: 'Ug1', text: 'good'}])")
    status = page.locator(".commentwise-status")
    expect(status).to_contain_text("The server does not answer")
    expect(status.get_by_role("button", name="Open settings")).to_be_visible()
    browser.settings()
    expect(page.locator(".commentwise-badge")).to_have_text("▲ 95%")


def test_a_wrong_key(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    entry = f"me:{hashlib.sha256(b'right').hexdigest()}"
    with (
        started(tmp_path / "server", "--model", str(tiny_bundle), "--api-keys", entry) as server,
        relaying(server.url) as relay,
        opened(tmp_path, relay) as browser,
    ):
        browser.settings(key="wrong")
        popup = popup_with_text(browser)
        expect(trouble(popup)).to_contain_text("The API key is missing or wrong")
        with browser.context.expect_page() as opening:
            trouble(popup).get_by_role("button", name="Open settings").click()
        options = opening.value
        options.get_by_label("API key").fill("right")
        options.get_by_role("button", name="Test").click()
        expect(options.locator("#tested")).to_contain_text("Connected. Model logreg")
        options.get_by_role("button", name="Save").click()
        expect(options.locator("#saved")).to_contain_text("Connected.")
        ask(popup)
        expect(popup.locator(".verdict")).to_contain_text("positive")


def test_too_much_text(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    flags = ["--max-body", "200", "--max-characters", "100"]
    with (
        started(tmp_path / "server", "--model", str(tiny_bundle), *flags) as server,
        relaying(server.url) as relay,
        opened(tmp_path, relay) as browser,
    ):
        browser.settings()
        popup = browser.popup(browser.article("<p>page</p>"))
        for count, said in [(20, "characters and the limit is 100"), (60, "the body has more than 200 bytes")]:
            popup.get_by_label("Or type a text").fill("video " * count)
            popup.get_by_role("button", name="Classify").click()
            expect(trouble(popup)).to_contain_text("The server rejected this text")
            expect(trouble(popup)).to_contain_text(said)
        ask(popup)
        expect(popup.locator(".verdict")).to_contain_text("positive")


@pytest.mark.parametrize(
    ("status", "title"),
    [
        (404, "This is not a Commentwise server"),
        (413, "The server rejected this text"),
        (422, "The server rejected this text"),
        (424, "The server reported an error"),
        (500, "The server reported an error"),
        (502, "The server reported an error"),
        (504, "The server is slow"),
    ],
)
def test_an_error_status(browser: Browser, status: int, title: str) -> None:
    body = json.dumps({"error": "the reason", "error_type": "Backend"})
    browser.relay.answers.append((status, {"Content-Type": "application/json"}, body))
    popup = popup_with_text(browser)
    expect(trouble(popup)).to_contain_text(title)
    expect(trouble(popup)).to_contain_text("The server says: the reason")
    expect(trouble(popup).get_by_role("button")).not_to_have_count(0)
    ask(popup)
    expect(popup.locator(".verdict")).to_contain_text("positive")
    expect(trouble(popup)).to_be_empty()


@pytest.mark.parametrize(("status", "title"), [(429, "The server is busy"), (503, "The server is starting")])
def test_retry_after_is_respected(browser: Browser, status: int, title: str) -> None:
    browser.relay.answers.append(
        (status, {"Retry-After": "2"}, json.dumps({"error": "later", "error_type": "Overloaded"}))
    )
    popup = popup_with_text(browser)
    expect(trouble(popup)).to_contain_text(title)
    expect(trouble(popup)).to_contain_text("Next try in 2 s.")
    expect(popup.locator(".verdict")).to_contain_text("positive", timeout=PATIENCE_MS)
    expect(trouble(popup)).to_be_empty()
    assert len(browser.relay.texts()) == 2


def test_the_page_waits_for_a_long_retry_after(browser: Browser) -> None:
    browser.relay.answers.append((429, {"Retry-After": "21"}, "{}"))
    page = browser.watch()
    page.evaluate("add([{id: 'Ug1', text: 'good'}])")
    status = page.locator(".commentwise-status")
    expect(status).to_contain_text("Next try in 21 s.")
    status.get_by_role("button", name="Try again").click()
    expect(page.locator(".commentwise-badge")).to_be_visible()
    expect(status).to_be_empty()


def test_a_slow_server(browser: Browser) -> None:
    browser.relay.hold()
    popup = popup_with_text(browser)
    expect(trouble(popup)).to_contain_text("The server is slow", timeout=PATIENCE_MS)
    browser.relay.release()
    expect(popup.locator(".verdict")).to_contain_text("positive")
    expect(trouble(popup)).to_be_empty()


def test_a_server_that_never_answers(browser: Browser) -> None:
    browser.relay.hold()
    page = browser.watch()
    page.evaluate("add([{id: 'Ug1', text: 'good'}])")
    status = page.locator(".commentwise-status")
    expect(status).to_contain_text("The server is slow", timeout=PATIENCE_MS)
    with browser.context.expect_event("requestfailed", timeout=PATIENCE_MS):
        pass
    browser.relay.release()
    status.get_by_role("button", name="Try again").click()
    expect(page.locator(".commentwise-badge")).to_be_visible()


def test_trying_again_aborts_a_slow_request(browser: Browser) -> None:
    browser.relay.hold()
    page = browser.watch()
    page.evaluate("add([{id: 'Ug1', text: 'good'}])")
    status = page.locator(".commentwise-status")
    expect(status).to_contain_text("The server is slow", timeout=PATIENCE_MS)
    with browser.context.expect_event("requestfailed"):
        status.get_by_role("button", name="Try again").click()
    browser.relay.wait_for(2, "/info")
    browser.relay.release()
    expect(page.locator(".commentwise-badge")).to_be_visible()
    expect(status).to_be_empty()


def test_another_program_at_the_address(browser: Browser) -> None:
    browser.relay.answers.append((200, {"Content-Type": "text/html"}, "<title>router</title>"))
    expect(trouble(popup_with_text(browser))).to_contain_text("This is not a Commentwise server")


def test_a_page_closed_to_extensions(browser: Browser) -> None:
    page = browser.context.new_page()
    page.goto("chrome://version")
    popup = browser.popup(page)
    expect(trouble(popup)).to_contain_text("This page cannot be read")
    ask(popup)
    expect(popup.locator(".verdict")).to_contain_text("positive")


def test_comments_disabled(browser: Browser) -> None:
    page = browser.watch()
    page.evaluate(
        "document.querySelector('#contents').replaceChildren(make('ytd-message-renderer', {}, 'Comments are turned off.'))"
    )
    expect(trouble(browser.popup(page))).to_contain_text("Comments are turned off")


def test_none_loaded_yet(browser: Browser) -> None:
    page = browser.watch()
    popup = browser.popup(page)
    expect(trouble(popup)).to_contain_text("No comments loaded yet")
    page.evaluate("add([{id: 'Ug1', text: 'good'}])")
    expect(popup.locator(".coverage")).to_contain_text("1 of 1,873 loaded.")
    expect(trouble(popup)).to_be_empty()


@pytest.mark.parametrize(
    "change",
    [
        "c.querySelector('#content-text').remove()",
        "c.querySelector('a[href*=lc]').remove()",
        "c.replaceWith(make('new-comment-model', {}, 'text'))",
    ],
)
def test_selectors_that_no_longer_match(browser: Browser, change: str) -> None:
    page = browser.watch()
    page.evaluate(
        f"""text => {{
        const made = comment;
        comment = details => {{ const holder = make("div", {{}}, made(details)); const c = holder.firstChild; {change}; return holder.firstChild; }};
        add([{{id: "Ug1", text}}]);
    }}""",
        TEXT,
    )
    popup = browser.popup(page)
    expect(trouble(popup)).to_contain_text("YouTube's page has changed")
    browser.context.grant_permissions(["clipboard-read", "clipboard-write"])
    trouble(popup).get_by_role("button", name="Copy diagnostics").click()
    expect(popup.locator("#diagnostics")).to_have_text("Copied")
    copied = popup.evaluate("navigator.clipboard.readText()")
    diagnostics = json.loads(copied)
    assert diagnostics["problem"] == "selectors-broken"
    assert diagnostics["page"]["selectors"]["thread"] == 1
    assert TEXT not in copied
    assert browser.relay.url not in copied
    assert "video1" not in copied


def test_a_page_opened_before_the_installation(relay: Relay, tmp_path: Path) -> None:
    granted = [f"{relay.url}/*", "https://www.youtube.com/*"]
    with opened(tmp_path, relay, granted, content_scripts=[]) as browser:
        browser.settings()
        page = browser.watch()
        popup = browser.popup(page)
        expect(trouble(popup)).to_contain_text("Reload this page")
        with page.expect_navigation():
            popup.get_by_role("button", name="Reload page").click()

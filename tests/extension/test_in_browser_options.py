import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.extension.browser import ARTICLE, Browser, opened
from tests.extension.relay import Relay

STORED = (200, {"Content-Type": "application/json"}, '{"stored": true}')
REFUSED = (422, {"Content-Type": "application/json"}, '{"error": "label is \'neutral\'", "error_type": "Validation"}')
MISSING = (404, {"Content-Type": "application/json"}, '{"error": "no such route", "error_type": "NotFound"}')


@pytest.fixture
def fresh(relay: Relay, tmp_path: Path) -> Iterator[Browser]:
    """A browser whose user has just installed the extension."""
    with opened(tmp_path, relay) as ready:
        yield ready


def test_the_first_run_explains_what_is_sent_and_asks_for_consent(fresh: Browser) -> None:
    options = fresh.options()
    expect(options.get_by_role("heading", name="Welcome")).to_be_visible()
    options.get_by_label("Address").fill(f"{fresh.relay.url}/")
    expect(options.locator("#recipient")).to_have_text(f"Everything is sent to {fresh.relay.url}")
    options.get_by_role("button", name="Save").click()
    expect(options.locator("#saved")).to_contain_text("Please agree")
    assert fresh.stored("settings") is None

    options.get_by_label(f"I agree that these texts are sent to {fresh.relay.url}").check()
    options.get_by_role("button", name="Save").click()
    expect(options.locator("#saved")).to_contain_text("Connected. Model logreg")
    expect(options.get_by_role("heading", name="Welcome")).to_be_hidden()
    settings = fresh.stored("settings")
    assert (settings["server"], settings["consent"]) == (fresh.relay.url, fresh.relay.url)
    assert [seen.path for seen in fresh.relay.seen] == ["/health", "/info"]
    page = fresh.watch()
    page.evaluate("add([{id: 'Ug1', text: 'good'}])")
    expect(page.locator(".commentwise-badge")).to_be_visible()


def test_another_server_needs_new_consent(browser: Browser) -> None:
    options = browser.options()
    expect(options.locator("#consent")).to_be_checked()
    options.get_by_label("Address").fill("http://server.example:8000")
    expect(options.locator("#consent")).not_to_be_checked()
    expect(options.get_by_text("Without https")).to_be_visible()
    options.get_by_label("Address").fill(browser.relay.url)
    expect(options.locator("#consent")).to_be_checked()
    expect(options.get_by_text("Without https")).to_be_hidden()


def test_the_test_button(fresh: Browser) -> None:
    options = fresh.options()
    for address, said in [("ftp://x", "This is not a valid address"), (fresh.relay.url, "Connected. Model logreg")]:
        options.get_by_label("Address").fill(address)
        options.get_by_role("button", name="Test").click()
        expect(options.locator("#tested")).to_contain_text(said)
    assert fresh.stored("settings") is None


def test_a_refused_permission_saves_nothing(relay: Relay, tmp_path: Path) -> None:
    with opened(tmp_path, relay, granted=[f"{ARTICLE}/*"]) as browser:
        options = browser.options()
        options.evaluate("() => { chrome.permissions.request = async () => false }")  # as after a click on Deny
        options.get_by_label("Address").fill(relay.url)
        options.locator("#consent").check()
        options.get_by_role("button", name="Save").click()
        expect(options.locator("#saved")).to_contain_text("No access to your server")
        assert browser.stored("settings") is None


def test_permission_is_requested_for_this_server_only(fresh: Browser) -> None:
    options = fresh.options()
    options.evaluate("() => { chrome.permissions.request = async asked => { window.asked = asked; return false } }")
    options.get_by_label("Address").fill("comments.example:8443/api/")
    options.locator("#consent").check()
    options.get_by_role("button", name="Save").click()
    expect(options.locator("#saved")).not_to_be_empty()
    assert options.evaluate("window.asked") == {"origins": ["https://comments.example:8443/*"]}


def test_german(browser: Browser) -> None:
    options = browser.options()
    options.get_by_label("Language").select_option("Deutsch")
    options.get_by_role("button", name="Save").click()
    expect(options.get_by_role("heading", name="Was wohin gesendet wird")).to_be_visible()
    page = browser.watch()
    page.evaluate("add([{id: 'Ug1', text: 'good'}])")
    expect(page.locator(".commentwise-badge")).to_have_accessible_name("Stimmung: positiv, 95\u00a0%")
    expect(browser.popup(page).locator(".coverage")).to_contain_text("1 von 1.873 geladen.")


def test_channels_are_accepted_in_every_common_form(browser: Browser) -> None:
    options = browser.options()
    channels = options.get_by_label("Channels, one per line")
    channels.fill("@one https://www.youtube.com/@two/videos\nhttps://youtube.com/c/three")
    options.get_by_role("button", name="Save").click()
    expect(options.locator("#saved")).to_contain_text("“https://youtube.com/c/three” is not a channel.")
    expect(channels).to_be_focused()
    channels.fill("one, @One\nhttps://www.youtube.com/channel/UCabcdefghijklmnopqrstuv/about")
    options.get_by_role("button", name="Save").click()
    expect(options.locator("#saved")).to_contain_text("Connected.")
    assert browser.stored("settings")["channels"] == ["@one", "@One", "UCabcdefghijklmnopqrstuv"]
    expect(browser.options().get_by_label("Channels, one per line")).to_have_value(
        "@one\n@One\nUCabcdefghijklmnopqrstuv"
    )


def correct(page: Page, comment: str) -> None:
    page.locator(f"#comment:has(a[href*='lc={comment}']) .commentwise-badge").click()
    page.get_by_role("dialog").get_by_role("button", name="Correct the label to neutral").click()


def test_corrections_go_to_the_server_if_allowed(browser: Browser) -> None:
    browser.settings(sendCorrections=True)
    page = browser.watch()
    page.evaluate("add([{id: 'Ug1', text: 'good'}, {id: 'Ug2', text: 'bad'}])")
    expect(page.locator(".commentwise-badge")).to_have_count(2)

    browser.relay.answers.append(MISSING)
    correct(page, "Ug1")
    expect(page.get_by_role("dialog")).to_contain_text("does not accept corrections at the moment")
    browser.relay.answers += [STORED, STORED]
    page.keyboard.press("Escape")
    correct(page, "Ug2")
    expect(page.get_by_role("dialog")).to_contain_text("neutral was sent to your server")

    sent = [seen.body for seen in browser.relay.seen if seen.path == "/feedback"]
    assert [body["text"] for body in sent] == ["good", "good", "bad"]
    assert sent[0] == sent[1]  # the same id, so the server recognises the correction
    assert set(sent[2]) == {"text", "label", "predicted", "bundle_id", "source", "id"}
    assert (sent[2]["label"], sent[2]["predicted"], sent[2]["source"]) == ("neutral", "negative", "extension")
    assert all(correction["sent"] for correction in browser.stored("corrections"))


def test_unsent_corrections_can_be_exported_and_deleted(browser: Browser) -> None:
    page = browser.watch()
    page.evaluate("add([{id: 'Ug1', text: 'good'}])")
    correct(page, "Ug1")
    expect(page.get_by_role("dialog")).to_contain_text("Sending corrections is off")
    assert not [seen for seen in browser.relay.seen if seen.path == "/feedback"]

    options = browser.options()
    expect(options.locator("#kept")).to_have_text("1 correction, 1 not sent.")
    with options.expect_download() as saving:
        options.get_by_role("button", name="Export JSON").click()
    (saved,) = json.loads(Path(saving.value.path()).read_bytes())
    assert (saved["text"], saved["label"], saved["predicted"]) == ("good", "neutral", "positive")
    options.on("dialog", lambda dialog: dialog.accept())
    options.get_by_role("button", name="Delete all").click()
    expect(options.locator("#kept")).to_have_text("0 corrections, 0 not sent.")
    assert browser.stored("corrections") == []


def test_kept_corrections_can_be_sent_later(browser: Browser) -> None:
    page = browser.watch()
    page.evaluate("add([{id: 'Ug1', text: 'good'}])")
    correct(page, "Ug1")
    expect(page.get_by_role("dialog")).to_contain_text("is saved in this browser")
    browser.settings(sendCorrections=True)
    options = browser.options()
    browser.relay.answers.append(MISSING)
    options.get_by_role("button", name="Send now").click()
    expect(options.locator("#kept")).to_contain_text("This server does not accept corrections.")
    browser.relay.answers.append(STORED)
    options.get_by_role("button", name="Send now").click()
    expect(options.locator("#kept")).to_have_text("1 correction, 0 not sent.")


def test_a_rejected_correction_does_not_block_others(browser: Browser) -> None:
    browser.settings(sendCorrections=True)
    page = browser.watch()
    page.evaluate("add([{id: 'Ug1', text: 'good'}, {id: 'Ug2', text: 'bad'}])")
    expect(page.locator(".commentwise-badge")).to_have_count(2)
    browser.relay.answers += [REFUSED, STORED]
    correct(page, "Ug1")
    expect(page.get_by_role("dialog")).to_contain_text("The server rejected this correction")
    page.keyboard.press("Escape")
    correct(page, "Ug2")
    expect(page.get_by_role("dialog")).to_contain_text("neutral was sent to your server")
    assert [seen.body["text"] for seen in browser.relay.seen if seen.path == "/feedback"] == ["good", "bad"]
    expect(browser.options().locator("#kept")).to_have_text("2 corrections, 0 not sent. 1 rejected by the server.")


@pytest.mark.parametrize("page", ["options", "popup"])
def test_every_control_has_a_name(browser: Browser, page: str) -> None:
    shown = browser.options() if page == "options" else browser.popup(browser.article("<p>page</p>"))
    session = browser.context.new_cdp_session(shown)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "textbox", "checkbox", "combobox", "slider", "switch"}
    controls = [node for node in nodes if not node["ignored"] and node["role"]["value"] in roles]
    assert len(controls) >= 4
    assert [node for node in controls if not node["name"].get("value")] == []

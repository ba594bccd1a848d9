import json
from pathlib import Path

from playwright.sync_api import expect

from tests.extension.browser import Browser, opened
from tests.extension.relay import Relay

SELECT = "getSelection().selectAllChildren(document.querySelector('p'))"


def test_the_popup_shows_the_selected_text(browser: Browser) -> None:
    page = browser.article("<p>good &lt;b&gt;video&lt;/b&gt;</p>")
    page.evaluate(SELECT)
    popup = browser.popup(page)
    section = popup.locator("#selection")
    expect(section.locator("blockquote")).to_have_text("good <b>video</b>")
    expect(section.locator(".verdict")).to_contain_text("positive")
    expect(section.locator(".bars li")).to_have_count(3)
    expect(popup.locator("#model")).to_contain_text("Model logreg · ")
    expect(popup.locator("#model")).to_contain_text(" ms")


def test_an_answer_below_the_threshold_is_unsure(browser: Browser) -> None:
    browser.settings(unsureBelow=0.99)
    page = browser.article("<p>good</p>")
    page.evaluate(SELECT)
    popup = browser.popup(page)
    expect(popup.locator(".verdict")).to_have_text("?positiveunsure95%")
    expect(popup.locator("#selection")).to_contain_text("not sure enough")


def test_text_in_a_field_is_read_but_never_a_password(browser: Browser) -> None:
    page = browser.article("<textarea>awful or good</textarea><input type=password value=hunter2>")
    page.evaluate(
        "document.querySelector('textarea').focus(); document.querySelector('textarea').setSelectionRange(0, 5)"
    )
    expect(browser.popup(page).locator("#selection blockquote")).to_have_text("awful")
    page.evaluate("document.querySelector('input').select()")
    popup = browser.popup(page)
    expect(popup.locator("#trouble")).to_contain_text("No text selected")
    assert browser.relay.texts() == [["awful"]]


def test_text_can_be_typed(browser: Browser) -> None:
    popup = browser.popup(browser.article("<p>nothing is selected</p>"))
    expect(popup.locator("#trouble")).to_contain_text("No text selected")
    popup.get_by_label("Or type a text").fill("i hate this")
    popup.get_by_role("button", name="Classify").click()
    expect(popup.locator(".verdict")).to_contain_text("negative")
    expect(popup.locator("#trouble")).to_be_empty()


def test_the_keyboard_command_shows_the_result_in_place(browser: Browser) -> None:
    page = browser.article("<p style='margin: 200px 100px'>great</p>")
    page.evaluate(SELECT)
    browser.command(page)
    shown = page.get_by_role("dialog", name="Selected text")
    expect(shown.get_by_role("heading")).to_have_text("▲positive95%")
    text, place = page.locator("body > p").bounding_box(), shown.bounding_box()
    assert text is not None
    assert place is not None
    assert 0 <= place["y"] - (text["y"] + text["height"]) < 40
    page.keyboard.press("Escape")
    expect(page.locator("commentwise-card")).to_have_count(0)


def test_the_result_is_always_within_the_viewport(browser: Browser) -> None:
    page = browser.article("<h1>page</h1><p style='margin: 3000px 100px 150px'>great</p>")
    page.evaluate("scrollTo(0, 1e6)")
    page.evaluate(SELECT)
    browser.command(page)
    shown = page.get_by_role("dialog")
    expect(shown.get_by_role("heading")).to_be_in_viewport(ratio=1)
    expect(shown.get_by_role("button").last).to_be_in_viewport(ratio=1)
    text, place = page.locator("body > p").bounding_box(), shown.bounding_box()
    assert text is not None
    assert place is not None
    assert 0 <= text["y"] - (place["y"] + place["height"]) < 40
    page.keyboard.press("Escape")
    page.evaluate("getSelection().empty(); scrollTo(0, 1000)")
    browser.command(page)
    expect(shown.get_by_role("heading", name="No text selected")).to_be_in_viewport(ratio=1)


def test_the_context_menu_works_repeatedly(browser: Browser) -> None:
    page = browser.article("<p>bad</p>")
    page.evaluate(SELECT)
    for _ in range(2):
        browser.menu(page, "bad")
        expect(page.get_by_role("dialog", name="Selected text").get_by_role("heading")).to_have_text("▼negative95%")
    expect(page.locator("commentwise-card")).to_have_count(1)
    assert browser.relay.texts() == [["bad"]]


def test_the_command_works_where_the_content_script_runs_too(relay: Relay, tmp_path: Path) -> None:
    with opened(tmp_path, relay, granted=[f"{relay.url}/*", "https://www.youtube.com/*"]) as browser:
        browser.settings()
        page = browser.watch()
        page.evaluate("add([{id: 'Ug1', text: 'good'}, {id: 'Ug2', text: 'bad'}])")
        expect(page.locator(".commentwise-badge")).to_have_count(2)
        page.evaluate("getSelection().selectAllChildren(document.querySelector('h1'))")
        browser.command(page)
        expect(page.get_by_role("dialog", name="Selected text").get_by_role("heading")).to_contain_text("neutral")
        page.keyboard.press("Escape")
        page.locator(".commentwise-badge").first.click()
        expect(page.get_by_role("dialog", name="positive")).to_be_visible()


def test_in_place_without_a_selection_and_without_a_server(browser: Browser) -> None:
    page = browser.article("<p>good</p>")
    browser.command(page)
    expect(page.get_by_role("dialog")).to_contain_text("No text selected")
    browser.settings(server="", consent="")
    page.evaluate(SELECT)
    browser.command(page)
    expect(page.get_by_role("dialog")).to_contain_text("Not set up yet")
    with browser.context.expect_page() as opened:
        page.get_by_role("dialog").get_by_role("button", name="Open settings").click()
    expect(opened.value.get_by_role("heading", name="Your server")).to_be_visible()


def test_problems_are_shown_in_place_with_a_way_out(browser: Browser) -> None:
    page = browser.article("<p>good</p>")
    page.evaluate(SELECT)
    browser.relay.answers.append((422, {}, json.dumps({"error": "the reason", "error_type": "Validation"})))
    browser.command(page)
    shown = page.get_by_role("dialog")
    expect(shown).to_contain_text("The server rejected this text")
    expect(shown).to_contain_text("The server says: the reason")
    shown.get_by_role("button", name="Try again").click()
    expect(shown.get_by_role("heading")).to_have_text("▲positive95%")
    expect(page.locator("commentwise-card")).to_have_count(1)


def test_closing_a_card_aborts_its_request(browser: Browser) -> None:
    page = browser.article("<p>good</p>")
    page.evaluate(SELECT)
    browser.relay.hold()
    browser.command(page)
    browser.relay.wait_for(1, "/info")
    with browser.context.expect_event("requestfailed"):
        page.keyboard.press("Escape")
    browser.relay.release()


def test_scripts_of_the_page_cannot_correct(browser: Browser) -> None:
    page = browser.article("<p>good</p>")
    page.evaluate(SELECT)
    browser.command(page)
    wrong = page.get_by_role("dialog").get_by_role("button", name="Correct the label to negative")
    expect(wrong).to_be_visible()
    page.evaluate(
        "document.querySelector('commentwise-card').shadowRoot.querySelectorAll('button').forEach(button => button.click())"
    )
    wrong.click()
    expect(page.get_by_role("dialog")).to_contain_text("negative is saved in this browser.")
    (correction,) = browser.stored("corrections")
    assert (correction["text"], correction["label"], correction["predicted"], correction["sent"]) == (
        "good",
        "negative",
        "positive",
        False,
    )


def test_the_context_menu_opens_the_popup_on_pages_closed_to_extensions(browser: Browser) -> None:
    page = browser.context.new_page()
    page.goto("chrome://version")
    browser.menu(page, "good video")
    browser.relay.wait_for(1)
    assert browser.relay.texts() == [["good video"]]

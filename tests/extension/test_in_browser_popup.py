import csv
import io
import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.extension.browser import Browser

THREADS = [
    {"id": "Ug1", "text": "love love great at 1:00"},
    {"id": "Ug2", "text": "hate at 1:05, but 9:00!", "replies": [{"id": "Ug2.a", "text": "good"}]},
    {"id": "Ug3", "text": "=a video"},
]


@pytest.fixture
def popup(browser: Browser) -> Page:
    page = browser.watch()
    page.evaluate("add", THREADS)
    expect(page.locator(".commentwise-badge")).to_have_count(4)
    page.wait_for_function("document.querySelector('video').duration === 600")
    return browser.popup(page)


def test_the_summary(popup: Page) -> None:
    expect(popup.locator(".coverage")).to_have_text("4 of 1,873 loaded. YouTube chose them: not representative.")
    expect(popup.locator(".bars li")).to_contain_text(["negative1 · 25%", "neutral1 · 25%", "positive2 · 50%"])
    expect(popup.locator("#video blockquote")).to_have_text(["love love great at 1:00", "hate at 1:05, but 9:00!"])
    expect(popup.locator("#model")).to_contain_text("Model logreg")


def test_the_keyboard_focus_stays_when_the_summary_grows(browser: Browser, popup: Page) -> None:
    for name in ("CSV", "Go to 9:00"):
        control = popup.get_by_role("button", name=name)
        control.focus()
        before = popup.locator(".coverage").inner_text()
        browser.context.pages[-2].evaluate("name => add([{id: `Ug-${name}`, text: 'great at 9:00'}])", name)
        expect(popup.locator(".coverage")).not_to_have_text(before)
        expect(control).to_be_focused()


def test_a_click_on_a_quoted_time_seeks_the_video(browser: Browser, popup: Page) -> None:
    columns = popup.locator(".timeline button")
    expect(columns).to_have_count(2)
    expect(columns.first).to_have_accessible_name("Go to 1:00: negative 1, positive 1")
    columns.last.press("Enter")
    watch = browser.context.pages[-2]
    watch.wait_for_function("document.querySelector('video').currentTime === 540")


def test_copy_and_export(browser: Browser, popup: Page) -> None:
    browser.context.grant_permissions(["clipboard-read", "clipboard-write"])
    popup.get_by_role("button", name="Copy", exact=True).click()
    expect(popup.get_by_role("button", name="Copied")).to_be_visible()
    copied = popup.evaluate("navigator.clipboard.readText()")
    assert "The video\n4 of 1,873 loaded." in copied
    assert "positive: 2 (50%)" in copied

    with popup.expect_download() as saving:
        popup.get_by_role("button", name="CSV").click()
    assert saving.value.suggested_filename == "comments-video1.csv"
    rows = list(csv.DictReader(io.StringIO(Path(saving.value.path()).read_bytes().decode())))
    assert [(row["comment_id"], row["reply"], row["sentiment"]) for row in rows] == [
        ("Ug1", "false", "positive"),
        ("Ug2", "false", "negative"),
        ("Ug2.a", "true", "positive"),
        ("Ug3", "false", "neutral"),
    ]
    assert rows[3]["text"] == "'=a video"  # not a formula in a spreadsheet

    with popup.expect_download() as saving:
        popup.get_by_role("button", name="JSON").click()
    saved = json.loads(Path(saving.value.path()).read_bytes())
    assert saved["video_id"] == "video1"
    assert len(saved["bundle_id"]) == 64
    assert saved["comments"][3]["text"] == "=a video"
    assert sum(saved["comments"][0][f"p_{label}"] for label in ("negative", "neutral", "positive")) == pytest.approx(1)


def test_the_summary_grows_with_the_page(browser: Browser, popup: Page) -> None:
    browser.context.pages[-2].evaluate("add([{id: 'Ug9', text: 'great'}])")
    expect(popup.locator(".coverage")).to_contain_text("5 of 1,873 loaded.")
    expect(popup.locator(".bars li").last).to_contain_text("3 · 60%")

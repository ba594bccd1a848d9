"""The server's pages in a real browser: they work behind a prefix and with API keys, and load nothing from elsewhere."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect, sync_playwright

from commentwise.models.bundle import Classifier
from tests.extension.programs import chromium
from tests.serving.process import Server, started
from tests.serving.test_access import entry

pytestmark = pytest.mark.skipif(
    chromium() is None and not os.environ.get("CI"), reason="no Chromium: the server's pages were not tested"
)
PROXY = "http://proxy.example/comments/"
MARKUP = "<img src=x onerror=alert(1)> 😍 bad"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def server(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    keys = ["--api-keys", entry("ann", "key-a")]
    with started(tmp_path_factory.mktemp("server"), "--model", str(tiny_bundle), *keys, "--max-batch", "8") as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A page behind a proxy that adds a prefix. Requests to elsewhere, errors and violations of the policy fail the test."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    problems: list[str] = []

    def relay(route: Route) -> None:
        if route.request.url.startswith(PROXY):
            response = route.fetch(url=f"{server.url}/{route.request.url.removeprefix(PROXY)}")
            route.fulfill(response=response)
        else:
            problems.append(f"requested {route.request.url}")
            route.abort()

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error" and "401" not in message.text:  # Chromium reports every status above 400
            problems.append(message.text)

    context.route("**", relay)
    opened = context.new_page()
    opened.on("console", listen)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    yield opened
    width = opened.evaluate("() => document.documentElement.scrollWidth")
    context.close()
    assert (problems, width) == ([], 390)


def give_key(page: Page) -> None:
    page.get_by_label("API key").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("the API key is missing or unknown")
    page.get_by_label("API key").fill("key-a")
    page.keyboard.press("Enter")
    expect(page.get_by_label("API key")).to_be_hidden()


def test_comments_are_classified_and_explained(page: Page, tiny_bundle: Path) -> None:
    texts = [MARKUP, "a good video", *["the video"] * 8]  # more than one request takes
    classifier = Classifier(tiny_bundle)
    page.goto(PROXY)
    give_key(page)
    expect(page.locator("#model")).to_contain_text("negative, neutral, positive")
    page.get_by_label("Comments, one per line").fill("\n\n".join([*texts, "\u200b"]))
    page.keyboard.press("Control+Enter")
    answers = page.get_by_role("list", name="Answers").get_by_role("listitem")
    expect(answers).to_have_count(len(texts) + 1)
    expect(answers.last).to_contain_text("nothing is left of it")
    expect(page.locator("#state")).to_contain_text("11 comments in")
    first = answers.first
    expect(first.locator(".text")).to_have_text(MARKUP)
    (prediction,) = classifier.predict([MARKUP])
    expect(first.locator("dt").first).to_have_text(prediction.label)
    ranked = sorted(prediction.probabilities.values(), reverse=True)
    expect(first.locator(".share")).to_have_text([f"{100 * share:.1f} %" for share in ranked])
    widths = first.locator(".bar").evaluate_all("bars => bars.map(bar => bar.firstChild.offsetWidth / bar.offsetWidth)")
    assert widths == pytest.approx(ranked, abs=0.02)
    expect(first).to_contain_text(f"{prediction.tokens} tokens")
    first.get_by_role("button", name="Explain").press("Enter")
    expect(first.locator(".words")).to_have_text(MARKUP)
    expect(first.locator(".words .for")).to_have_text(["bad"])
    expect(first.locator(".strongest")).to_contain_text(re.compile(r"^bad \+\d\.\d\d · "))
    expect(first.locator(".explanation")).to_contain_text("leave-one-out")


def test_documentation_lists_every_route(page: Page) -> None:
    page.goto(f"{PROXY}docs")
    give_key(page)
    expect(page.locator("summary", has_text="/explain")).to_be_visible()
    listed = set(page.locator("summary code").all_inner_texts())
    assert {"/analyze", "/explain", "/", "/predict", "/v2/models/{model}/infer", "/admin/reload", "/health"} <= listed
    page.locator("summary", has_text="/analyze").press("Enter")
    expect(page.locator("details[open] pre").first).to_contain_text(f"curl -X POST '{PROXY}analyze'")
    page.get_by_role("link", name="Playground").press("Enter")
    page.wait_for_url(PROXY)
    expect(page.get_by_label("API key")).to_be_visible()  # the key was not kept

"""Take the screenshots in docs/extension.md and the README: python -m tests.extension.screenshots --model artifacts/bundle"""

import argparse
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.extension.browser import Browser, opened
from tests.extension.relay import relaying
from tests.serving.process import started

IMAGES = Path(__file__).parents[2] / "docs" / "images"
COMMENTS = [
    ("@mira_k", "This is the clearest explanation of attention I have ever seen, thank you so much! 😍"),
    ("@tomas.builds", "3:10 is where it finally made sense to me. Brilliant drawing."),
    ("@quietreader", "What editor theme are you using?"),
    ("@nope_not_again", "Audio is terrible, I had to stop after two minutes. Really disappointing."),
    ("@dana", "I hate how the second half rushes through everything at 7:45, totally lost me."),
    ("@lin_wei", "Watching this before my exam tomorrow, wish me luck"),
    ("@carlos", "Great video, love the pacing and the examples! 👍"),
    ("@ozan", "The part at 5:20 is wrong, and it confused everybody in our study group."),
    ("@frieda", "Part two when?"),
    ("@sam", "Amazing work as always, best channel on this topic."),
]
REPLIES = [
    ("@mira_k", "Same here, loved it!"),
    ("@nope_not_again", "Worst section of the whole video."),
    ("@lin_wei", "It starts at 9:02."),
]


def threads() -> list[dict[str, object]]:
    made: list[dict[str, object]] = [
        {"id": f"Ug{n}", "text": text, "author": author} for n, (author, text) in enumerate(COMMENTS)
    ]
    made[1]["replies"] = [
        {"id": f"Ug1.{n}", "text": text, "author": author} for n, (author, text) in enumerate(REPLIES)
    ]
    return made


def watch(browser: Browser, query: str = "") -> Page:
    page = browser.watch(query)
    page.set_viewport_size({"width": 960, "height": 820})
    page.evaluate("add", threads())
    page.evaluate("document.querySelector('video').style.aspectRatio = '16 / 2'")
    expect(page.locator(".commentwise-badge")).to_have_count(len(COMMENTS) + len(REPLIES))
    return page


def shoot(page: Page, name: str) -> None:
    page.screenshot(path=IMAGES / f"extension-{name}.png", animations="disabled")
    print(IMAGES / f"extension-{name}.png")


def popup(browser: Browser, page: Page, name: str, scheme: str = "light") -> None:
    shown = browser.popup(page)
    shown.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    shown.wait_for_timeout(300)
    shown.set_viewport_size({"width": 400, "height": shown.evaluate("document.body.scrollHeight")})
    shoot(shown, name)
    shown.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("artifacts/bundle"))
    model = parser.parse_args().model.resolve()
    with (
        tempfile.TemporaryDirectory() as folder,
        started(Path(folder), "--model", str(model)) as server,
        relaying(server.url) as relay,
        opened(Path(folder), relay) as browser,
    ):
        browser.settings()
        page = watch(browser)
        popup(browser, page, "popup")
        page.locator(".commentwise-badge").nth(1).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        shoot(page, "page")
        browser.settings(hide=["negative"])
        expect(page.locator("[data-commentwise-veiled]")).not_to_have_count(0)
        shoot(page, "hidden")
        browser.settings()
        dark = watch(browser, "&dark")
        dark.get_by_label("Order").select_option("Most negative first")
        shoot(dark, "page-dark")
        popup(browser, dark, "popup-dark", "dark")
        article = browser.article(
            "<body style='font: 18px/1.6 Georgia, serif; max-width: 640px; margin: 60px auto'><h1>A review</h1>"
            "<p>The hotel lies close to the station.</p><p id=s>The staff were wonderful, and breakfast was the best we had all year.</p>"
            "<p>Rooms on the street side are loud.</p>"
        )
        article.set_viewport_size({"width": 760, "height": 520})
        article.evaluate("getSelection().selectAllChildren(document.getElementById('s'))")
        popup(browser, article, "selection")
        article.bring_to_front()
        browser.command(article)
        expect(article.get_by_role("dialog").get_by_role("heading")).to_be_visible()
        shoot(article, "in-place")
        browser.relay.answers.append((401, {}, '{"error": "the API key is missing or unknown"}'))
        asked = browser.popup(article)
        asked.get_by_label("Or type a text").fill("Was it worth the money?")
        asked.get_by_role("button", name="Classify").click()
        expect(asked.locator("#trouble")).not_to_be_empty()
        asked.set_viewport_size({"width": 400, "height": 420})
        shoot(asked, "problem")
        for name, scheme, language in [("options", "light", ""), ("options-dark", "dark", "de")]:
            browser.settings(language=language, consent="")
            options = browser.options()
            options.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            options.set_viewport_size({"width": 800, "height": 1000})
            options.evaluate("document.getElementById('server').dispatchEvent(new Event('input'))")
            options.locator("#server").fill("http://127.0.0.1:8000")
            shoot(options, name)


if __name__ == "__main__":
    main()

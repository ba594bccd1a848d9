"""A real Chromium with the extension installed."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from playwright.sync_api import BrowserContext, Page, Route, Worker, sync_playwright

from tests.extension.programs import EXTENSION, chromium
from tests.extension.relay import PATIENCE, Relay

T = TypeVar("T")
WATCH = Path(__file__).with_name("watch.html").read_text(encoding="utf-8")
ARTICLE = "https://page.example"
ELSEWHERE = "server.example"
"""A host name that makes this machine look like another one."""
FLAGS = (
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",
    "--no-first-run",
)


def installed_copy(folder: Path, changed: dict[str, Any]) -> Path:
    """A copy with a changed manifest."""
    copy = folder / "extension"
    shutil.copytree(EXTENSION, copy, ignore=shutil.ignore_patterns("node_modules"))
    manifest = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    (copy / "manifest.json").write_text(json.dumps(manifest | changed), encoding="utf-8")
    return copy


class Browser:
    """A profile with the extension, and actions in it."""

    def __init__(self, context: BrowserContext, worker: Worker, relay: Relay) -> None:
        self.context = context
        self.base = worker.url.removesuffix("background.js")
        self.relay = relay
        self.requested: list[str] = []
        context.on("request", lambda request: self.requested.append(request.url))

    @property
    def worker(self) -> Worker:
        """The current service worker."""
        for worker in self.context.service_workers:
            if worker.url.startswith(self.base):
                return worker
        return self.context.wait_for_event("serviceworker")

    def settings(self, **changed: Any) -> None:
        """Store these settings, with consent to the relay's address."""
        values = {"server": self.relay.url, "consent": self.relay.url} | changed
        self.worker.evaluate("settings => chrome.storage.local.set({settings})", values)

    def stored(self, key: str) -> Any:
        return self.worker.evaluate("async key => (await chrome.storage.local.get(key))[key]", key)

    def watch(self, query: str = "", video: str = "video1") -> Page:
        """Open a watch page; watch.html's script reads `query`."""
        page = self.context.new_page()
        page.goto(f"https://www.youtube.com/watch?v={video}{query}")
        return page

    def article(self, body: str) -> Page:
        """Open another page."""
        page = self.context.new_page()
        url = f"{ARTICLE}/{len(self.context.pages)}"
        content = f"<!doctype html><title>page</title>{body}"
        page.route(url, lambda route: route.fulfill(body=content, content_type="text/html; charset=utf-8"))
        page.goto(url)
        return page

    def tab_id(self, page: Page) -> int:
        page.bring_to_front()
        return int(
            self.worker.evaluate("async () => (await chrome.tabs.query({active: true, lastFocusedWindow: true}))[0].id")
        )

    def popup(self, page: Page) -> Page:
        """Open the popup of a page, in its own tab, since headless Chromium shows no popups."""
        tab = self.tab_id(page)
        popup = self.context.new_page()
        popup.set_viewport_size({"width": 400, "height": 600})
        popup.goto(f"{self.base}popup/popup.html?tabId={tab}")
        popup.wait_for_selector("body[data-ready]")
        return popup

    def options(self) -> Page:
        page = self.context.new_page()
        page.goto(f"{self.base}options/options.html")
        page.wait_for_selector("body[data-ready]")
        return page

    def command(self, page: Page) -> None:
        """Trigger the keyboard command, which a headless browser does not dispatch by itself."""
        tab = self.tab_id(page)
        script = "async id => chrome.commands.onCommand.dispatch('classify-selection', await chrome.tabs.get(id))"
        self.worker.evaluate(script, tab)

    def menu(self, page: Page, text: str) -> None:
        """Click the entry in the context menu."""
        script = """async ([id, selectionText]) =>
            chrome.contextMenus.onClicked.dispatch({selectionText, frameId: 0}, await chrome.tabs.get(id))"""
        self.worker.evaluate(script, [self.tab_id(page), text])

    def kill_worker(self) -> None:
        """Stop the service worker, as the browser may do at any time."""
        page = self.context.new_page()
        page.goto(f"{self.base}icons/16.png")
        session = self.context.new_cdp_session(page)
        statuses: list[
            tuple[str, str]
        ] = []  # every status it has had: a stopped worker restarts as soon as it gets an event
        session.on(
            "ServiceWorker.workerVersionUpdated",
            lambda event: statuses.extend((one["runningStatus"], one["versionId"]) for one in event["versions"]),
        )
        session.send("ServiceWorker.enable")
        running = wait_until(lambda: [version for status, version in statuses if status == "running"], page)[-1]
        session.send("ServiceWorker.stopWorker", {"versionId": running})
        wait_until(lambda: ("stopped", running) in statuses, page)
        page.close()


@contextmanager
def opened(folder: Path, relay: Relay, granted: list[str] | None = None, **changed: Any) -> Iterator[Browser]:
    """Open a new profile with the extension, which may access `granted` (default: the relay and the article).

    A test cannot answer the browser's permission dialog, so the permissions are granted in the manifest.
    """
    granted = [f"{relay.url}/*", f"{ARTICLE}/*"] if granted is None else granted
    extension = installed_copy(folder, {"host_permissions": granted} | changed)
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            folder / "profile",
            headless=True,
            executable_path=chromium(),
            args=[*FLAGS, f"--disable-extensions-except={extension}", f"--load-extension={extension}"],
        )
        worker = context.service_workers[0] if context.service_workers else context.wait_for_event("serviceworker")
        # On its first start the extension opens its settings page.
        settings = wait_until(lambda: [page for page in context.pages if "options.html" in page.url], worker)[0]
        settings.wait_for_selector("body[data-ready]")
        settings.close()
        context.route("https://www.youtube.com/**", _youtube)
        try:
            yield Browser(context, worker, relay)
        finally:
            context.close()


def wait_until(condition: Callable[[], T], target: Page | Worker) -> T:
    """Wait until the condition holds and return its value; evaluating a script lets Playwright process events."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition did not become true in time"
        target.evaluate("() => 0")
    return found


def _youtube(route: Route) -> None:
    route.fulfill(body=WATCH, content_type="text/html; charset=utf-8")

/** The service worker: connects the browser's events to lib/. It may be killed at any time, so it holds no state. */

import { classify, forgetAbout } from "./lib/classifier.js";
import { correct } from "./lib/corrections.js";
import { Problem, WAYS_OUT } from "./lib/problems.js";
import { guardStorage, loadSettings, shownSettings } from "./lib/settings.js";
import { languageFor, loadStrings } from "./lib/strings.js";

const MENU = "classify-selection";

guardStorage(); // a service worker cannot await at the top level

chrome.runtime.onInstalled.addListener(async ({ reason }) => {
  await makeMenu();
  if (reason === "install") await chrome.runtime.openOptionsPage();
});

chrome.storage.onChanged.addListener(async ({ settings }, area) => {
  if (area !== "local" || !settings) return;
  await forgetAbout();
  await makeMenu();
  await tellPages();
});

// Pages that had no permission to reach the server start again.
chrome.permissions.onAdded.addListener(tellPages);

async function tellPages() {
  const tabs = await chrome.tabs.query({});
  for (const { id } of tabs) {
    // Most tabs have no content script to receive it.
    if (id !== undefined) chrome.tabs.sendMessage(id, { type: "settings" }).catch(() => {});
  }
}

async function makeMenu() {
  const strings = await loadStrings(languageFor((await loadSettings()).language));
  await chrome.contextMenus.removeAll();
  chrome.contextMenus.create({ id: MENU, title: strings.menu, contexts: ["selection"] });
}

chrome.contextMenus.onClicked.addListener(({ selectionText, frameId }, tab) => showInPlace(tab, frameId ?? 0, selectionText));

chrome.commands.onCommand.addListener((_, tab) => showInPlace(tab, 0, ""));

/**
 * Show the selection's sentiment beside it.
 *
 * @param {chrome.tabs.Tab | undefined} tab
 * @param {number} frameId
 * @param {string | undefined} text the selected text, if the browser reports it
 */
async function showInPlace(tab, frameId, text) {
  if (tab?.id === undefined) return;
  try {
    await chrome.scripting.executeScript({
      target: { tabId: tab.id, frameIds: [frameId] },
      files: ["content/labels.js", "content/card.js", "content/asking.js", "content/selected.js", "content/selection.js"],
    });
  } catch {
    // The browser's own pages, its PDF viewer and its store block extensions, but the popup opens anywhere.
    if (text) await chrome.storage.session.set({ asked: text });
    await chrome.action.openPopup();
  }
}

// One connection per request; the other side disconnects to cancel it.
chrome.runtime.onConnect.addListener((port) => {
  if (port.name !== "classify" || port.sender?.id !== chrome.runtime.id) return;
  const canceled = new AbortController();
  port.onDisconnect.addListener(() => canceled.abort());
  port.onMessage.addListener(async ({ texts }) => {
    const onWait = (/** @type {import("./lib/types.js").Trouble} */ waiting) => port.postMessage({ waiting });
    try {
      const answer = await classify(texts, { signal: canceled.signal, onWait });
      if (!canceled.signal.aborted) port.postMessage({ answer });
    } catch (error) {
      if (canceled.signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      port.postMessage({ trouble: error.plain() });
    }
  });
});

/** Messages that content scripts and the popup may send. The settings in the answers omit the server and its key. */
const ANSWERS = {
  setup: async () => {
    const settings = await loadSettings();
    const language = languageFor(settings.language);
    return { shown: shownSettings(settings), language, strings: await loadStrings(language), waysOut: WAYS_OUT };
  },
  /** @param {{text: string, label: string, predicted: string, bundleId: string}} corrected */
  correct: async (corrected) => correct(corrected),
  options: async () => chrome.runtime.openOptionsPage(),
};

chrome.runtime.onMessage.addListener((message, sender, respond) => {
  const answer = ANSWERS[/** @type {keyof typeof ANSWERS} */ (message?.type)];
  if (!answer || sender.id !== chrome.runtime.id) return false;
  answer(message).then(respond);
  return true;
});

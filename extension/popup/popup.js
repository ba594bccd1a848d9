/** The popup: the selected text's sentiment on any page, and the comments of the video on YouTube. */

import { diagnostics } from "../lib/diagnostics.js";
import { byId } from "../lib/elements.js";
import { Problem } from "../lib/problems.js";
import { loadSettings, requestPermission, saveSettings, usableSettings } from "../lib/settings.js";
import { languageFor, loadStrings, speaker, translate } from "../lib/strings.js";
import { showSelection } from "./selection.js";
import { showTrouble } from "./trouble.js";
import { showVideo } from "./video.js";

const REFRESH_MS = 1000;

const settings = await loadSettings();
const language = languageFor(settings.language);
const speak = speaker(await loadStrings(language), language);
document.documentElement.lang = language;
translate(document, speak);

const tab = await findTab();
const tabId = tab?.id;
/** @type {import("../lib/types.js").Snapshot | null} */
let snapshot = null;
/** The kind of the problem displayed. */
let problem = "";
/** The displayed state of the page, and its displayed problem, as JSON. */
let drawn = "";
let drawnTrouble = "null";

/** @returns {Promise<chrome.tabs.Tab | undefined>} the tab that the popup belongs to; a popup opened in a tab gets its id as a parameter */
async function findTab() {
  const given = new URLSearchParams(location.search).get("tabId");
  if (given) return chrome.tabs.get(Number(given));
  const [active] = await chrome.tabs.query({ active: true, currentWindow: true });
  return active;
}

function reload() {
  location.reload();
}

/** @param {object} message */
async function tellPage(message) {
  return tabId === undefined ? undefined : chrome.tabs.sendMessage(tabId, message).catch(() => undefined);
}

/** @returns {Promise<string | null>} the selected text; null if the page is closed to extensions */
async function findSelection() {
  const { asked } = await chrome.storage.session.get("asked");
  await chrome.storage.session.remove("asked");
  if (asked !== undefined) return asked;
  if (tabId === undefined) return null;
  try {
    const found = await chrome.scripting.executeScript({ target: { tabId, allFrames: true }, files: ["content/selected.js"] });
    return found.map(({ result }) => result).find(Boolean) ?? "";
  } catch {
    return null;
  }
}

/**
 * @param {import("../lib/types.js").Trouble | null} trouble
 * @param {() => unknown} retry repeats the failed action
 */
function explain(trouble, retry) {
  problem = trouble?.kind ?? "";
  showTrouble(byId("trouble", HTMLElement), speak, trouble, {
    options: () => chrome.runtime.openOptionsPage(),
    retry,
    grant: async () => (await requestPermission(settings.server)) && reload(),
    reload: () => tabId !== undefined && chrome.tabs.reload(tabId).then(() => window.close()),
    diagnostics: copyDiagnostics,
    "switch-on": () => saveSettings({ youtube: true }).then(reload),
    "add-channel": async () => {
      const channels = [...new Set([...settings.channels, snapshot?.channel ?? ""])].filter(Boolean);
      await saveSettings({ channels });
      reload();
    },
  });
}

async function copyDiagnostics() {
  const text = JSON.stringify(diagnostics({ settings, kind: problem, snapshot }), null, 2);
  await navigator.clipboard.writeText(text);
  byId("diagnostics", HTMLElement).textContent = speak.say("copied");
}

/** Show the page's current state. */
async function refresh() {
  snapshot = (await tellPage({ type: "snapshot" })) ?? null;
  const state = JSON.stringify({ ...snapshot, selectors: null });
  if (!snapshot?.videoId || state === drawn) return;
  drawn = state;
  const trouble = JSON.stringify(snapshot.trouble);
  if (trouble !== drawnTrouble) explain(snapshot.trouble, () => tellPage({ type: "retry" }).then(refresh));
  drawnTrouble = trouble;
  showVideo(byId("video", HTMLElement), speak, snapshot, (seconds) => tellPage({ type: "seek", seconds }));
  const { about, milliseconds } = snapshot;
  if (about) showModel(about, milliseconds);
}

/**
 * @param {import("../lib/types.js").About} about
 * @param {number} milliseconds
 */
function showModel({ family, bundleId }, milliseconds) {
  const time = milliseconds ? speak.say("milliseconds", milliseconds) : speak.say("from_cache");
  const model = byId("model", HTMLElement);
  model.textContent = `${speak.say("model", family, bundleId.slice(0, 8))} · ${time}`;
  model.title = bundleId;
}

/**
 * @param {"selected_text" | "typed_text"} heading
 * @param {string} text
 */
function classifyText(heading, text) {
  const onTrouble = (/** @type {import("../lib/types.js").Trouble | null} */ trouble) => explain(trouble, () => classifyText(heading, text));
  onTrouble(null);
  showSelection(byId("selection", HTMLElement), speak, speak.say(heading), text, { onTrouble, onModel: showModel }).catch((error) => {
    if (error.name !== "AbortError") throw error; // replaced by a request for another text
  });
}

byId("settings", HTMLElement).addEventListener("click", () => chrome.runtime.openOptionsPage());
byId("diagnostics", HTMLElement).addEventListener("click", copyDiagnostics);
byId("youtube", HTMLInputElement).addEventListener("change", async ({ target }) => {
  await saveSettings({ youtube: /** @type {HTMLInputElement} */ (target).checked });
  reload();
});
byId("typed", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  classifyText("typed_text", byId("text", HTMLTextAreaElement).value.trim());
});

async function begin() {
  await usableSettings();
  const text = await findSelection();
  await refresh();
  const onVideo = snapshot?.videoId;
  byId("switch", HTMLElement).hidden = !snapshot;
  byId("youtube", HTMLInputElement).checked = settings.youtube;
  if (text) classifyText("selected_text", text);
  else if (!snapshot && tab?.url?.startsWith("https://www.youtube.com/")) explain({ kind: "not-loaded" }, reload);
  else if (!onVideo) explain({ kind: text === null ? "page-closed" : "no-selection" }, reload);
  if (onVideo) setInterval(refresh, REFRESH_MS);
}

try {
  await begin();
} catch (error) {
  if (!(error instanceof Problem)) throw error;
  byId("typed", HTMLElement).hidden = true;
  explain(error.plain(), reload);
}
document.body.dataset.ready = "true";

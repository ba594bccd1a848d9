/** The settings page; on the first visit it explains what is sent where and asks for consent. */

import { deleteCorrections, isOpen, loadCorrections, sendCorrections } from "../lib/corrections.js";
import { byId, make } from "../lib/elements.js";
import { csv, download } from "../lib/export.js";
import { Problem } from "../lib/problems.js";
import { ask, askAbout } from "../lib/server.js";
import {
  channelName,
  dropOtherPermissions,
  guardStorage,
  isLoopback,
  loadSettings,
  requestPermission,
  saveSettings,
  serverAddress,
} from "../lib/settings.js";
import { LANGUAGES, languageFor, loadStrings, speaker, translate } from "../lib/strings.js";

const box = (/** @type {string} */ id) => byId(id, HTMLInputElement);

await guardStorage();
const settings = await loadSettings();
const language = languageFor(settings.language);
const speak = speaker(await loadStrings(language), language);
const { say } = speak;

document.documentElement.lang = language;
document.title = `Commentwise · ${say("settings")}`;
translate(document, speak);
fill();
await showCorrections();
document.body.dataset.ready = "true";

function fill() {
  byId("welcome", HTMLElement).hidden = settings.consent !== "";
  box("server").value = settings.server;
  box("key").value = settings.key;
  box("consent").checked = settings.server !== "" && settings.consent === settings.server;
  box("youtube").checked = settings.youtube;
  box("badges").checked = settings.badges;
  box("toolbar").checked = settings.toolbar;
  box("unsure").value = String(Math.round(100 * settings.unsureBelow));
  box("only-listed").checked = settings.onlyListed;
  byId("channels", HTMLTextAreaElement).value = settings.channels.join("\n");
  box("send-corrections").checked = settings.sendCorrections;
  const choices = byId("language", HTMLSelectElement);
  choices.append(new Option(say("language_auto"), ""), ...Object.entries(LANGUAGES).map(([code, name]) => new Option(name, code)));
  choices.value = settings.language;
  fillHide(settings.labels);
  showServer();
  showUnsure();
}

/** @param {string[]} labels of the server's model */
function fillHide(labels) {
  const choices = labels.map((label) => {
    const choice = make("input", { type: "checkbox", value: label });
    choice.checked = settings.hide.includes(label);
    return make("label", { class: "choice" }, choice, make("span", {}, speak.label(label)));
  });
  byId("hide", HTMLElement).replaceChildren(...choices);
}

/** Show the address being typed, so that consent is given to exactly this server. */
function showServer() {
  const server = serverAddress(box("server").value);
  byId("recipient", HTMLElement).textContent = server ? say("recipient", server) : say("recipient_missing");
  byId("consent-text", HTMLElement).textContent = server ? say("consent", server) : say("consent_missing");
  byId("insecure", HTMLElement).hidden = !server.startsWith("http://") || isLoopback(server);
}

function showUnsure() {
  byId("unsure-label", HTMLElement).textContent = say("unsure_below", speak.percent(Number(box("unsure").value) / 100));
}

/**
 * @param {string} id
 * @param {string} text
 * @param {"good" | "bad" | ""} mood
 */
function tell(id, text, mood) {
  const output = byId(id, HTMLOutputElement);
  output.className = mood;
  output.textContent = text;
}

/**
 * @param {string} id the output's id
 * @param {unknown} error
 */
function tellProblem(id, error) {
  if (!(error instanceof Problem)) throw error;
  const name = error.kind.replaceAll("-", "_");
  const said = error.detail ? ` ${say("server_said", error.detail)}` : "";
  tell(id, `${say(`problem_${name}_title`)}. ${say(`problem_${name}_text`)}${said}`, "bad");
}

/**
 * @param {string} id the output's id
 * @returns {Promise<{server: string, key: string} | null>} the address and key entered, once the browser has granted access to that server; null otherwise
 */
async function permitted(id) {
  const server = serverAddress(box("server").value);
  if (!server) {
    tell(id, say("bad_address"), "bad");
    box("server").focus();
    return null;
  }
  if (await requestPermission(server)) return { server, key: box("key").value.trim() };
  tellProblem(id, new Problem("no-permission"));
  return null;
}

/**
 * @param {string} id the output's id
 * @param {{server: string, key: string}} to
 * @returns {Promise<string[] | null>} the labels of the server's model; null if the connection failed
 */
async function connect(id, to) {
  tell(id, say("connecting"), "");
  try {
    await ask(to, "/health");
    const { family, bundleId, labels } = await askAbout(to);
    tell(id, say("connected", speak.say("model", family, bundleId.slice(0, 8))), "good");
    return labels;
  } catch (error) {
    tellProblem(id, error);
    return null;
  }
}

box("server").addEventListener("input", () => {
  // Consent given to one server does not apply to another.
  box("consent").checked = settings.consent !== "" && serverAddress(box("server").value) === settings.consent;
  showServer();
});
box("unsure").addEventListener("input", showUnsure);

byId("test", HTMLElement).addEventListener("click", async () => {
  const to = await permitted("tested");
  if (to) await connect("tested", to);
});

byId("form", HTMLFormElement).addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!box("consent").checked) {
    tell("saved", say("consent_needed"), "bad");
    box("consent").focus();
    return;
  }
  const typed = byId("channels", HTMLTextAreaElement).value.split(/[\s,]+/).filter(Boolean);
  const bad = typed.find((channel) => !channelName(channel));
  if (bad) {
    tell("saved", say("bad_channel", bad), "bad");
    byId("channels", HTMLTextAreaElement).focus();
    return;
  }
  const to = await permitted("saved");
  if (!to) return;
  const chosen = byId("hide", HTMLElement).querySelectorAll("input:checked");
  Object.assign(settings, to, {
    consent: to.server,
    youtube: box("youtube").checked,
    badges: box("badges").checked,
    toolbar: box("toolbar").checked,
    hide: [...chosen].map((choice) => /** @type {HTMLInputElement} */ (choice).value),
    unsureBelow: Number(box("unsure").value) / 100,
    onlyListed: box("only-listed").checked,
    channels: [...new Set(typed.map(channelName))],
    sendCorrections: box("send-corrections").checked,
  });
  const before = settings.language;
  settings.language = byId("language", HTMLSelectElement).value;
  await saveSettings(settings);
  await dropOtherPermissions(to.server);
  byId("welcome", HTMLElement).hidden = true;
  const labels = await connect("saved", to);
  if (labels) {
    settings.labels = labels;
    await saveSettings({ labels });
    fillHide(labels);
  }
  if (settings.language !== before) location.reload();
});

async function showCorrections() {
  const corrections = await loadCorrections();
  const open = corrections.filter(isOpen).length;
  const refused = corrections.filter((one) => one.refused).length;
  byId("kept", HTMLElement).textContent = `${speak.count("kept", corrections.length)} ${speak.count("kept_open", open)}${refused ? ` ${speak.count("kept_refused", refused)}` : ""}`;
  for (const id of ["export-json", "export-csv", "delete"]) byId(id, HTMLButtonElement).disabled = !corrections.length;
  byId("send-now", HTMLButtonElement).disabled = !open || !settings.sendCorrections;
}

byId("send-now", HTMLElement).addEventListener("click", async () => {
  const problem = await sendCorrections();
  await showCorrections();
  // A server without this route answers 404; its address is fine.
  if (problem) byId("kept", HTMLElement).append(" ", say(problem.kind === "not-commentwise" ? "takes_none" : `problem_${problem.kind.replaceAll("-", "_")}_title`));
});
byId("export-json", HTMLElement).addEventListener("click", async () => {
  download("corrections.json", "application/json", JSON.stringify(await loadCorrections(), null, 2));
});
byId("export-csv", HTMLElement).addEventListener("click", async () => {
  const columns = ["id", "text", "label", "predicted", "bundle_id", "at", "sent", "refused"];
  download("corrections.csv", "text/csv", csv(columns, await loadCorrections()));
});
byId("delete", HTMLElement).addEventListener("click", async () => {
  if (!confirm(say("delete_sure"))) return;
  await deleteCorrections();
  await showCorrections();
});
chrome.storage.onChanged.addListener(({ corrections }) => void (corrections && showCorrections()));

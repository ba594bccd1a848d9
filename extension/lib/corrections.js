/** What the user says was labelled wrongly: kept here for export, and sent to the server if the user allows it. */

import { Problem } from "./problems.js";
import { ask } from "./server.js";
import { loadSettings, usableSettings } from "./settings.js";

const MOST = 2000;

/** @typedef {import("./types.js").Correction} Correction */

/** @returns {Promise<Correction[]>} */
export async function loadCorrections() {
  const { corrections } = await chrome.storage.local.get("corrections");
  return corrections ?? [];
}

/** @param {Correction[]} corrections */
export async function saveCorrections(corrections) {
  await chrome.storage.local.set({ corrections });
}

/**
 * @param {{text: string, label: string, predicted: string, bundleId: string}} corrected
 * @returns {Promise<"sent" | "kept" | "later">} `kept`: sending is not allowed; `later`: the server did not take it
 */
export async function correct({ text, label, predicted, bundleId }) {
  const others = (await loadCorrections()).filter((one) => one.sent || one.text !== text || one.bundle_id !== bundleId);
  const id = crypto.randomUUID();
  const added = { id, text, label, predicted, bundle_id: bundleId, at: new Date().toISOString(), sent: false };
  await saveCorrections([...others, added].slice(-MOST));
  if (!(await loadSettings()).sendCorrections) return "kept";
  return (await sendCorrections()) ? "later" : "sent";
}

/** @type {Promise<Problem | null>} */
let sending = Promise.resolve(null);

/**
 * Send what is not sent yet, oldest first. One run after the other, so that none is sent twice.
 *
 * @returns {Promise<Problem | null>} what stopped it
 */
export function sendCorrections() {
  sending = sending.catch(() => null).then(sendEach);
  return sending;
}

async function sendEach() {
  try {
    const settings = await usableSettings();
    for (const { id, text, label, predicted, bundle_id } of (await loadCorrections()).filter(({ sent }) => !sent)) {
      const answer = await ask(settings, "/feedback", { body: { text, label, predicted, bundle_id, source: "extension", id } });
      if (answer?.stored !== true) throw new Problem("not-commentwise");
      const now = await loadCorrections();
      await saveCorrections(now.map((one) => (one.id === id ? { ...one, sent: true } : one)));
    }
    return null;
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
}

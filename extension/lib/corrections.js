/** The user's corrections: stored for export, and sent to the server if the user allows it. */

import { Problem } from "./problems.js";
import { ask } from "./server.js";
import { loadSettings, usableSettings } from "./settings.js";

const MAX_CORRECTIONS = 2000;

/** @typedef {import("./types.js").Correction} Correction */

/** @returns {Promise<Correction[]>} */
export async function loadCorrections() {
  const { corrections } = await chrome.storage.local.get("corrections");
  return corrections ?? [];
}

/**
 * Change the stored corrections under a lock, since several pages may do so.
 *
 * @param {(now: Correction[]) => Correction[]} change
 */
async function changeCorrections(change) {
  await navigator.locks.request("corrections", async () => {
    await chrome.storage.local.set({ corrections: change(await loadCorrections()) });
  });
}

export async function deleteCorrections() {
  await changeCorrections(() => []);
}

/**
 * @param {Correction} correction
 * @returns {boolean} true if it has yet to be sent
 */
export function isOpen({ sent, refused }) {
  return !sent && !refused;
}

/**
 * @param {{text: string, label: string, predicted: string, bundleId: string}} corrected
 * @returns {Promise<"sent" | "kept" | "refused" | "later">} `kept`: sending is switched off; `refused`: the server
 *   rejected this correction; `later`: the server accepts none at the moment
 */
export async function correct({ text, label, predicted, bundleId }) {
  const id = crypto.randomUUID();
  const at = new Date().toISOString();
  const added = { id, text, label, predicted, bundle_id: bundleId, at, sent: false, refused: false };
  await changeCorrections((now) => {
    const others = now.filter((one) => one.sent || one.text !== text || one.bundle_id !== bundleId);
    return [...others, added].slice(-MAX_CORRECTIONS);
  });
  if (!(await loadSettings()).sendCorrections) return "kept";
  await sendCorrections();
  const now = (await loadCorrections()).find((one) => one.id === id);
  return now?.sent ? "sent" : now?.refused ? "refused" : "later";
}

/**
 * Send unsent corrections, oldest first, under a lock, so that none is sent twice.
 *
 * @returns {Promise<Problem | null>} the problem that stopped it, if any
 */
export function sendCorrections() {
  return navigator.locks.request("sending corrections", async () => {
    try {
      const settings = await usableSettings();
      for (const correction of (await loadCorrections()).filter(isOpen)) {
        const outcome = await send(correction, settings);
        await changeCorrections((now) => now.map((one) => (one.id === correction.id ? { ...one, ...outcome } : one)));
      }
      return null;
    } catch (error) {
      if (error instanceof Problem) return error;
      throw error;
    }
  });
}

/**
 * @param {Correction} correction
 * @param {import("./settings.js").Settings} settings
 * @returns {Promise<{sent: boolean, refused: boolean}>}
 * @throws {Problem} if it also affects other corrections
 */
async function send({ id, text, label, predicted, bundle_id }, settings) {
  try {
    const answer = await ask(settings, "/feedback", { body: { text, label, predicted, bundle_id, source: "extension", id } });
    if (answer?.stored !== true) throw new Problem("not-commentwise");
    return { sent: true, refused: false };
  } catch (error) {
    // A correction that the server will never accept, such as a label that its new model lacks, must not block the others.
    if (!(error instanceof Problem) || !["refused", "too-large"].includes(error.kind)) throw error;
    return { sent: false, refused: true };
  }
}

/** Texts to sentiments: in batches, each text once, in order, again where the server asks for it. */

import { cacheKey, recall, remember } from "./cache.js";
import { Problem } from "./problems.js";
import { ask, askAbout } from "./server.js";
import { usableSettings } from "./settings.js";

const ATTEMPTS = 5;
/** A server may be starting anew, and a network that has just come back does not carry everything at once. */
const PASSING = ["busy", "unready", "offline", "server-down"];
/** A worker that does nothing for 30 seconds is killed: longer waits are the page's, which lives on. */
const LONGEST_WAIT_S = 20;
const MOST_CHARACTERS = 400_000; // of a request, so that it stays below 2 MB in any script
/** Seconds for which a server is taken to have the model that it had. */
const FRESH_S = 60;
/** A bundle that is swapped while we ask is met again with its successor; more often is no accident. */
const SWAPS = 3;

/**
 * @typedef {object} Listening
 * @property {AbortSignal} signal
 * @property {(trouble: import("./types.js").Trouble) => void} onWait told before each wait
 */

/**
 * @param {string[]} texts
 * @param {Listening} listening
 * @returns {Promise<import("./types.js").Answer>}
 * @throws {Problem}
 */
export async function classify(texts, listening) {
  const settings = await usableSettings();
  const started = performance.now();
  let asked = false;
  for (let swaps = 0; ; swaps++) {
    const about = await knownAbout(settings, listening);
    const keys = await Promise.all(texts.map((text) => cacheKey(about.bundleId, settings.unsureBelow, text)));
    /** @type {Map<string, import("./types.js").Analysis | import("./types.js").Unanswered>} */
    const found = new Map(await recall(keys));
    const missing = new Map(keys.map((key, index) => /** @type {const} */ ([key, texts[index]])).filter(([key]) => !found.has(key)));
    let swapped = false;
    for (const batch of batches([...missing], about.maxTexts)) {
      asked = true;
      const { results, bundleId } = await askBatch(batch.map(([, text]) => text), settings, listening);
      swapped = bundleId !== "" && bundleId !== about.bundleId;
      if (swapped) break;
      const answered = results.map((result, index) => /** @type {const} */ ([batch[index][0], result]));
      for (const [key, result] of answered) found.set(key, result);
      await remember(/** @type {any} */ (answered.filter(([, result]) => "sentiment" in result)));
    }
    if (swapped && swaps < SWAPS) {
      await forgetAbout();
      continue;
    }
    if (swapped) throw new Problem("unready");
    const results = keys.map((key) => /** @type {import("./types.js").Analysis} */ (found.get(key)));
    return { results, about, milliseconds: asked ? Math.round(performance.now() - started) : 0 };
  }
}

/**
 * What the server said of itself lately, for it decides which answers are still good.
 *
 * @param {import("./settings.js").Settings} settings
 * @param {Listening} listening
 * @returns {Promise<import("./types.js").About>}
 */
async function knownAbout(settings, listening) {
  const { about } = await chrome.storage.session.get("about");
  if (about?.server === settings.server && Date.now() - about.at < FRESH_S * 1000) return about.value;
  const value = await patiently(() => askAbout(settings, listening.signal), listening);
  await chrome.storage.session.set({ about: { server: settings.server, at: Date.now(), value } });
  return value;
}

/** Have the server asked anew what it is. */
export async function forgetAbout() {
  await chrome.storage.session.remove("about");
}

/**
 * @param {[string, string][]} texts with their keys
 * @param {number} most in one batch
 */
export function* batches(texts, most) {
  let /** @type {[string, string][]} */ batch = [];
  let characters = 0;
  for (const entry of texts) {
    if (batch.length && (batch.length >= most || characters + entry[1].length > MOST_CHARACTERS)) {
      yield batch;
      batch = [];
      characters = 0;
    }
    batch.push(entry);
    characters += entry[1].length;
  }
  if (batch.length) yield batch;
}

/**
 * @param {string[]} texts
 * @param {import("./settings.js").Settings} settings
 * @param {Listening} listening
 * @returns {Promise<{results: (import("./types.js").Analysis | import("./types.js").Unanswered)[], bundleId: string}>}
 */
async function askBatch(texts, settings, listening) {
  const body = { texts, unsure_below: settings.unsureBelow };
  try {
    const answer = await patiently(() => ask(settings, "/analyze", { body, signal: listening.signal }), listening);
    if (!Array.isArray(answer?.results) || answer.results.length !== texts.length) throw new Problem("not-commentwise");
    return { results: answer.results, bundleId: String(answer.bundle_id ?? "") };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (!(await isTooMuch(error, texts, settings, listening))) throw error;
    if (texts.length === 1) return { results: [{ error: error.detail ?? "" }], bundleId: "" };
    const half = Math.ceil(texts.length / 2);
    const first = await askBatch(texts.slice(0, half), settings, listening);
    const second = await askBatch(texts.slice(half), settings, listening);
    return { results: [...first.results, ...second.results], bundleId: second.bundleId || first.bundleId };
  }
}

/**
 * @param {Problem} problem
 * @param {string[]} texts that met it
 * @param {import("./settings.js").Settings} settings
 * @param {Listening} listening
 * @returns {Promise<boolean>} whether fewer texts may do better
 */
async function isTooMuch({ kind }, texts, settings, listening) {
  if (kind !== "refused") return kind === "too-large";
  await forgetAbout(); // a server that was started anew may take fewer than it said
  return texts.length > (await knownAbout(settings, listening)).maxTexts;
}

/**
 * Ask again as long as what stands in the way may pass.
 *
 * @template T
 * @param {() => Promise<T>} request
 * @param {Listening} listening
 * @returns {Promise<T>}
 */
async function patiently(request, { signal, onWait }) {
  for (let attempt = 1; ; attempt++) {
    try {
      await chrome.runtime.getPlatformInfo(); // using the API gives a worker another 30 seconds
      return await request();
    } catch (error) {
      if (!(error instanceof Problem) || !PASSING.includes(error.kind) || attempt === ATTEMPTS) throw error;
      const seconds = error.retryAfter ?? 2 ** (attempt - 1);
      if (seconds > LONGEST_WAIT_S) throw error;
      onWait({ ...error.plain(), retryAfter: seconds });
      await wait(seconds, signal);
    }
  }
}

/**
 * @param {number} seconds
 * @param {AbortSignal} signal
 */
function wait(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
  });
}

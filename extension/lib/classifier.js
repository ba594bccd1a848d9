/** Classifies texts: in batches, each text once, with retries; results are in the order of the texts. */

import { cacheKey, recall, remember } from "./cache.js";
import { Problem } from "./problems.js";
import { ask, askAbout } from "./server.js";
import { usableSettings } from "./settings.js";

const ATTEMPTS = 5;
/** Problems worth a retry: a server may be restarting, and a network that has just returned may still drop requests. */
const TRANSIENT = ["busy", "unready", "offline", "server-down"];
/** A worker that is idle for 30 seconds is killed, so longer waits are left to the page. */
const MAX_WAIT_S = 20;
const MAX_CHARACTERS = 400_000; // per request, which stays below 2 MB in any script
/** Seconds for which /info is cached. */
const FRESH_S = 60;
/** If the bundle is swapped during a request, start again with its successor, up to this many times. */
const MAX_SWAPS = 3;

/**
 * @typedef {object} RequestOptions
 * @property {AbortSignal} signal
 * @property {(trouble: import("./types.js").Trouble) => void} onWait called before each wait
 */

/**
 * @param {string[]} texts
 * @param {RequestOptions} options
 * @returns {Promise<import("./types.js").Answer>}
 * @throws {Problem}
 */
export async function classify(texts, options) {
  const settings = await usableSettings();
  const started = performance.now();
  let requested = false;
  for (let swaps = 0; ; swaps++) {
    const about = await knownAbout(settings, options);
    const keys = await Promise.all(texts.map((text) => cacheKey(about.bundleId, settings.unsureBelow, text)));
    /** @type {Map<string, import("./types.js").Analysis | import("./types.js").Unanswered>} */
    const found = new Map(await recall(keys));
    const missing = new Map(keys.map((key, index) => /** @type {const} */ ([key, texts[index]])).filter(([key]) => !found.has(key)));
    let swapped = false;
    for (const batch of batches([...missing], about.maxTexts)) {
      requested = true;
      const { results, bundleId } = await askBatch(batch.map(([, text]) => text), settings, options);
      swapped = bundleId !== "" && bundleId !== about.bundleId;
      if (swapped) break;
      const answered = results.map((result, index) => /** @type {const} */ ([batch[index][0], result]));
      for (const [key, result] of answered) found.set(key, result);
      await remember(/** @type {any} */ (answered.filter(([, result]) => "sentiment" in result)));
    }
    if (swapped && swaps < MAX_SWAPS) {
      await forgetAbout();
      continue;
    }
    if (swapped) throw new Problem("unready");
    const results = keys.map((key) => /** @type {import("./types.js").Analysis} */ (found.get(key)));
    return { results, about, milliseconds: requested ? Math.round(performance.now() - started) : 0 };
  }
}

/**
 * The server's /info, cached briefly: its bundle id determines which cached answers are valid.
 *
 * @param {import("./settings.js").Settings} settings
 * @param {RequestOptions} options
 * @returns {Promise<import("./types.js").About>}
 */
async function knownAbout(settings, options) {
  const { about } = await chrome.storage.session.get("about");
  if (about?.server === settings.server && Date.now() - about.at < FRESH_S * 1000) return about.value;
  const value = await withRetries(() => askAbout(settings, options.signal), options);
  await chrome.storage.session.set({ about: { server: settings.server, at: Date.now(), value } });
  return value;
}

/** Fetch /info again at the next request. */
export async function forgetAbout() {
  await chrome.storage.session.remove("about");
}

/**
 * @param {[string, string][]} texts [key, text] pairs
 * @param {number} maxTexts per batch
 */
export function* batches(texts, maxTexts) {
  let /** @type {[string, string][]} */ batch = [];
  let characters = 0;
  for (const entry of texts) {
    if (batch.length && (batch.length >= maxTexts || characters + entry[1].length > MAX_CHARACTERS)) {
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
 * @param {RequestOptions} options
 * @returns {Promise<{results: (import("./types.js").Analysis | import("./types.js").Unanswered)[], bundleId: string}>}
 */
async function askBatch(texts, settings, options) {
  const body = { texts, unsure_below: settings.unsureBelow };
  try {
    const answer = await withRetries(() => ask(settings, "/analyze", { body, signal: options.signal }), options);
    if (!Array.isArray(answer?.results) || answer.results.length !== texts.length) throw new Problem("not-commentwise");
    return { results: answer.results, bundleId: String(answer.bundle_id ?? "") };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (!(await isTooMuch(error, texts, settings, options))) throw error;
    if (texts.length === 1) return { results: [{ error: error.detail ?? "" }], bundleId: "" };
    const half = Math.ceil(texts.length / 2);
    const first = await askBatch(texts.slice(0, half), settings, options);
    const second = await askBatch(texts.slice(half), settings, options);
    return { results: [...first.results, ...second.results], bundleId: second.bundleId || first.bundleId };
  }
}

/**
 * @param {Problem} problem
 * @param {string[]} texts of the failed request
 * @param {import("./settings.js").Settings} settings
 * @param {RequestOptions} options
 * @returns {Promise<boolean>} true if a request with fewer texts may succeed
 */
async function isTooMuch({ kind }, texts, settings, options) {
  if (kind !== "refused") return kind === "too-large";
  await forgetAbout(); // after a restart the server may accept fewer texts than before
  return texts.length > (await knownAbout(settings, options)).maxTexts;
}

/**
 * Retry a request after transient problems, with exponential backoff or after the server's Retry-After.
 *
 * @template T
 * @param {() => Promise<T>} request
 * @param {RequestOptions} options
 * @returns {Promise<T>}
 */
async function withRetries(request, { signal, onWait }) {
  for (let attempt = 1; ; attempt++) {
    try {
      await chrome.runtime.getPlatformInfo(); // using the API gives a worker another 30 seconds
      return await request();
    } catch (error) {
      if (!(error instanceof Problem) || !TRANSIENT.includes(error.kind) || attempt === ATTEMPTS) throw error;
      const seconds = error.retryAfter ?? 2 ** (attempt - 1);
      if (seconds > MAX_WAIT_S) throw error;
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

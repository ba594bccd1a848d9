/** An LRU cache of answers, least recently used first. It lasts until the browser closes; texts are not stored. */

const MAX_ENTRIES = 2000;

/** @type {Promise<Map<string, import("./types.js").Analysis>> | undefined} */
let entries;

/** Load the cache from session storage, where it survives a restart of the worker. */
function load() {
  entries ??= chrome.storage.session.get("cache").then(({ cache }) => new Map(cache ?? []));
  return entries;
}

/**
 * @param {string} bundleId
 * @param {number} unsureBelow
 * @param {string} text
 * @returns {Promise<string>} the key of the answer
 */
export async function cacheKey(bundleId, unsureBelow, text) {
  const bytes = new TextEncoder().encode(`${bundleId}\n${unsureBelow}\n${text}`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return btoa(String.fromCharCode(...digest.subarray(0, 18)));
}

/**
 * @param {string[]} keys
 * @returns {Promise<Map<string, import("./types.js").Analysis>>} the cached answers among them
 */
export async function recall(keys) {
  const known = await load();
  const found = new Map();
  for (const key of keys) {
    const entry = known.get(key);
    if (!entry) continue;
    known.delete(key); // move it to the end: most recently used
    known.set(key, entry);
    found.set(key, entry);
  }
  return found;
}

/** @param {Iterable<[string, import("./types.js").Analysis]>} added */
export async function remember(added) {
  const known = await load();
  for (const [key, entry] of added) known.set(key, entry);
  for (const key of known.keys()) {
    if (known.size <= MAX_ENTRIES) break;
    known.delete(key);
  }
  await chrome.storage.session.set({ cache: [...known] });
}

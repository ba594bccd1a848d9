/** Answers that are known already, least recently used first. They last until the browser closes; texts are not kept. */

const MOST = 2000;

/** @type {Promise<Map<string, import("./types.js").Analysis>> | undefined} */
let entries;

/** A worker that was killed finds here what the one before it knew. */
function load() {
  entries ??= chrome.storage.session.get("cache").then(({ cache }) => new Map(cache ?? []));
  return entries;
}

/**
 * @param {string} bundleId
 * @param {number} unsureBelow
 * @param {string} text
 * @returns {Promise<string>} what the answer is known by
 */
export async function cacheKey(bundleId, unsureBelow, text) {
  const bytes = new TextEncoder().encode(`${bundleId}\n${unsureBelow}\n${text}`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return btoa(String.fromCharCode(...digest.subarray(0, 18)));
}

/**
 * @param {string[]} keys
 * @returns {Promise<Map<string, import("./types.js").Analysis>>} those of them that are known
 */
export async function recall(keys) {
  const known = await load();
  const found = new Map();
  for (const key of keys) {
    const entry = known.get(key);
    if (!entry) continue;
    known.delete(key); // and to the end of the queue
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
    if (known.size <= MOST) break;
    known.delete(key);
  }
  await chrome.storage.session.set({ cache: [...known] });
}

/** HTTP requests to the user's server: the only module that sends anything. */

import { Problem, kindOf, retryAfter } from "./problems.js";
import { isLoopback } from "./settings.js";

/** Chrome terminates a service worker whose fetch takes 30 seconds. */
const TIMEOUT_MS = 25_000;

/**
 * @param {{server: string, key: string}} settings
 * @param {string} path
 * @param {{body?: object, signal?: AbortSignal}} [request] sent as POST if it has a body
 * @returns {Promise<any>} the JSON response
 * @throws {Problem}
 */
export async function ask({ server, key }, path, { body, signal } = {}) {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  /** @type {Record<string, string>} */
  const headers = {};
  if (body) headers["Content-Type"] = "application/json";
  if (key) headers["Authorization"] = `Bearer ${key}`;
  let response, answer;
  try {
    response = await fetch(server + path, {
      method: body ? "POST" : "GET",
      headers,
      body: body && JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      credentials: "omit",
      cache: "no-store",
      redirect: "error", // comments go only to the server that the user named
      referrerPolicy: "no-referrer",
    });
    answer = await response.json().catch((error) => {
      if (error instanceof SyntaxError) return undefined;
      throw error;
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    if (timeout.aborted) throw new Problem("slow");
    throw new Problem(navigator.onLine || isLoopback(server) ? "server-down" : "offline");
  }
  if (!response.ok) {
    const detail = typeof answer?.error === "string" ? answer.error : undefined;
    throw new Problem(kindOf(response.status), { detail, retryAfter: retryAfter(response.headers.get("Retry-After")) });
  }
  if (answer === undefined) throw new Problem("not-commentwise");
  return answer;
}

/**
 * @param {{server: string, key: string}} settings
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./types.js").About>}
 * @throws {Problem}
 */
export async function askAbout(settings, signal) {
  const info = await ask(settings, "/info", { signal });
  if (typeof info?.bundle_id !== "string" || !Array.isArray(info.labels)) throw new Problem("not-commentwise");
  return {
    bundleId: info.bundle_id,
    labels: info.labels.map(String),
    maxTexts: Number(info.max_client_batch_size) || 1,
    version: String(info.version ?? ""),
    family: String(info.family ?? ""),
  };
}

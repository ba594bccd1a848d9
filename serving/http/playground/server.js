/** Requests to the server that this page is from. Addresses are relative, for proxies that add a prefix. */

/** A request that was refused or failed; its message is for people. */
export class Problem extends Error {
  /** @param {string} message @param {number} status the HTTP status; 0 without an answer */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

let key = "";

/** Send an API key with every request from now on. It is kept in this variable alone. */
export function useKey(value) {
  key = value;
}

/**
 * @param {string} path relative to the page
 * @param {object} [body] what to post; without it, the request is a GET
 * @returns {Promise<any>} the answer's JSON
 * @throws {Problem}
 */
export async function ask(path, body) {
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const post = { method: "POST", body: JSON.stringify(body), headers: { ...headers, "content-type": "application/json" } };
  let response;
  try {
    response = await fetch(path, body ? post : { headers });
  } catch {
    throw new Problem("The server cannot be reached.", 0);
  }
  const content = await response.json().catch(() => null);
  if (!response.ok) throw new Problem(content?.error ?? `The server answered ${response.status}.`, response.status);
  return content;
}

/**
 * Show the form for an API key when one is required, and do the work again with it.
 * @param {() => Promise<void>} work
 * @param {(problem: Problem) => void} show called with other problems
 */
export async function withAccess(work, show) {
  const form = /** @type {HTMLFormElement} */ (document.getElementById("access"));
  const field = /** @type {HTMLInputElement} */ (document.getElementById("key"));
  try {
    await work();
    form.hidden = true;
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status === 401) {
      form.onsubmit = (event) => {
        event.preventDefault();
        useKey(field.value.trim());
        withAccess(work, show);
      };
      if (!form.hidden) show(problem);
      form.hidden = false;
      field.focus();
    } else show(problem);
  }
}

/** All kinds of problems. Each has a title and a text in every language, and its ways out here. */

/** @typedef {"options" | "retry" | "grant" | "reload" | "add-channel" | "switch-on" | "diagnostics"} WayOut */

/** @type {Record<string, WayOut[]>} */
export const WAYS_OUT = {
  "not-configured": ["options"],
  "no-permission": ["grant", "options"],
  offline: ["retry"],
  "server-down": ["retry", "options"],
  "not-commentwise": ["options"],
  unauthorized: ["options"],
  "too-large": ["retry"],
  refused: ["retry", "diagnostics"],
  busy: ["retry"],
  unready: ["retry"],
  "server-error": ["retry", "diagnostics"],
  slow: ["retry", "options"],
  "no-selection": [],
  "page-closed": [],
  "comments-disabled": [],
  "none-loaded": [],
  "selectors-broken": ["diagnostics", "reload"],
  "not-loaded": ["reload"],
  "switched-off": ["switch-on"],
  "channel-not-listed": ["add-channel", "options"],
  "channel-unknown": ["reload", "options", "diagnostics"],
};

/** A problem of one of the kinds above. */
export class Problem extends Error {
  /**
   * @param {string} kind
   * @param {{detail?: string, retryAfter?: number}} [more] the server's message, and the seconds until a retry
   */
  constructor(kind, { detail, retryAfter } = {}) {
    super(detail ?? kind);
    this.kind = kind;
    this.detail = detail;
    this.retryAfter = retryAfter;
  }

  /** @returns {import("./types.js").Trouble} the problem as a plain object that can be sent in a message */
  plain() {
    return { kind: this.kind, detail: this.detail, retryAfter: this.retryAfter };
  }
}

const BY_STATUS = new Map([
  [400, "refused"],
  [401, "unauthorized"],
  [403, "unauthorized"],
  [404, "not-commentwise"],
  [405, "not-commentwise"],
  [408, "slow"],
  [409, "refused"],
  [413, "too-large"],
  [422, "refused"],
  [429, "busy"],
  [503, "unready"],
  [504, "slow"],
]);

/**
 * @param {number} status of an unsuccessful response
 * @returns {string} the kind of problem
 */
export function kindOf(status) {
  return BY_STATUS.get(status) ?? (status >= 500 || status === 424 ? "server-error" : "not-commentwise");
}

/**
 * @param {string | null} header the response's Retry-After, in seconds or as a date
 * @returns {number | undefined} seconds to wait
 */
export function retryAfter(header) {
  if (!header) return undefined;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, Math.ceil(seconds)) : undefined;
}

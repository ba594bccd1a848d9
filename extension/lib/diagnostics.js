/** Information for bug reports, without any text, address or key. */

import { isLoopback } from "./settings.js";

/**
 * @param {object} state
 * @param {import("./settings.js").Settings} state.settings
 * @param {string} state.kind the problem's kind; empty if there is none
 * @param {import("./types.js").Snapshot | null} state.snapshot of the page, if it is YouTube
 */
export function diagnostics({ settings, kind, snapshot }) {
  const { server, youtube, badges, toolbar, onlyListed, language, unsureBelow } = settings;
  return {
    extension: chrome.runtime.getManifest().version,
    browser: /Chrom(?:e|ium)\/[\d.]+/.exec(navigator.userAgent)?.[0] ?? "",
    browser_language: navigator.language,
    problem: kind || null,
    server: server ? { scheme: new URL(server).protocol, this_machine: isLoopback(server) } : null,
    settings: { youtube, badges, toolbar, onlyListed, language, unsureBelow },
    page: snapshot && {
      comments: snapshot.comments.length,
      with_sentiment: snapshot.comments.filter(({ result }) => result && "sentiment" in result).length,
      selectors: snapshot.selectors,
    },
    bundle_id: snapshot?.about?.bundleId ?? null,
    server_version: snapshot?.about?.version ?? null,
  };
}

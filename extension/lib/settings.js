/** The user's settings, in a storage area that web pages and content scripts cannot read. */

import { Problem } from "./problems.js";

/**
 * @typedef {object} Settings
 * @property {string} server base address, without a slash at its end; empty until it is set
 * @property {string} key API key; empty where the server wants none
 * @property {string} consent the server that the user agreed to send texts to
 * @property {boolean} youtube whether comments on YouTube are classified
 * @property {boolean} badges
 * @property {boolean} toolbar
 * @property {string[]} hide labels of the comments that are hidden until asked for
 * @property {number} unsureBelow
 * @property {boolean} onlyListed whether only the channels below count
 * @property {string[]} channels handles (@name) and ids (UC…)
 * @property {string} language of the extension; empty: the browser's
 * @property {boolean} sendCorrections
 * @property {string[]} labels of the server's model, as last seen
 */

/** @type {Settings} */
export const DEFAULTS = {
  server: "",
  key: "",
  consent: "",
  youtube: true,
  badges: true,
  toolbar: true,
  hide: [],
  unsureBelow: 0.6,
  onlyListed: false,
  channels: [],
  language: "",
  sendCorrections: false,
  labels: ["negative", "neutral", "positive"],
};

/** Shut content scripts out of the storage: they run beside code of the page. */
export async function guardStorage() {
  await chrome.storage.local.setAccessLevel({ accessLevel: "TRUSTED_CONTEXTS" });
}

/** @returns {Promise<Settings>} */
export async function loadSettings() {
  const { settings } = await chrome.storage.local.get("settings");
  return { ...DEFAULTS, ...settings };
}

/** @param {Partial<Settings>} changed */
export async function saveSettings(changed) {
  await chrome.storage.local.set({ settings: { ...(await loadSettings()), ...changed } });
}

/**
 * @param {string} typed an address as people type it
 * @returns {string} the base address, or "" where it is none
 */
export function serverAddress(typed) {
  const trimmed = typed.trim();
  const scheme = /^[a-z]+:\/\//i.test(trimmed) ? "" : isLoopback(trimmed) ? "http://" : "https://";
  try {
    const url = new URL(scheme + trimmed);
    if (!["http:", "https:"].includes(url.protocol) || url.username || url.password) return "";
    return url.origin + url.pathname.replace(/\/+$/, "");
  } catch {
    return "";
  }
}

/**
 * @param {string} typed a channel's handle, id or address
 * @returns {string} its handle (@name) or its id (UC…), or "" where it is none of these
 */
export function channelName(typed) {
  const path = plainAddress(typed.trim()).replace(/^(https?:\/\/)?((www|m)\.)?youtube\.com(?=\/)/i, "");
  const id = /^(?:\/channel\/)?(UC[\w-]{22})(?![\w-])/.exec(path);
  if (id) return id[1];
  const handle = /^\/?@([^\s@/?#]+)/.exec(path) ?? /^([^\s@/?#]+)$/.exec(path);
  return handle ? `@${handle[1]}` : "";
}

/** @param {string} address in which other scripts may be encoded */
function plainAddress(address) {
  try {
    return decodeURI(address);
  } catch {
    return address;
  }
}

/** @param {string} address */
export function isLoopback(address) {
  return /^(https?:\/\/)?(localhost|127(\.\d+){3}|\[::1\])([:/]|$)/i.test(address);
}

/**
 * @param {string} server
 * @returns {string} the host permission for exactly this server
 */
export function permissionFor(server) {
  return `${new URL(server).origin}/*`;
}

/** @param {string} server */
export async function isPermitted(server) {
  return chrome.permissions.contains({ origins: [permissionFor(server)] });
}

/**
 * Ask the user for the server's host permission; only possible while a click is being handled.
 *
 * @param {string} server
 * @returns {Promise<boolean>}
 */
export async function requestPermission(server) {
  return chrome.permissions.request({ origins: [permissionFor(server)] });
}

/**
 * Give back what was granted for servers that are used no more.
 *
 * @param {string} server the one in use
 */
export async function dropOtherPermissions(server) {
  const { content_scripts = [], host_permissions = [] } = chrome.runtime.getManifest();
  const kept = new Set([permissionFor(server), ...host_permissions, ...content_scripts.flatMap((/** @type {{matches?: string[]}} */ { matches = [] }) => matches)]);
  const { origins = [] } = await chrome.permissions.getAll();
  const others = origins.filter((origin) => !kept.has(origin));
  if (others.length) await chrome.permissions.remove({ origins: others });
}

/**
 * @returns {Promise<Settings>} settings with which the server may be asked
 * @throws {Problem} where the user has not set a server, agreed to it, or allowed it
 */
export async function usableSettings() {
  const settings = await loadSettings();
  if (!settings.server || settings.consent !== settings.server) throw new Problem("not-configured");
  if (!(await isPermitted(settings.server))) throw new Problem("no-permission");
  return settings;
}

/**
 * What a content script may know: never the server or its key.
 *
 * @param {Settings} settings
 */
export function shownSettings({ server, consent, youtube, badges, toolbar, hide, onlyListed, channels }) {
  return { ready: server !== "" && consent === server, youtube, badges, toolbar, hide, onlyListed, channels };
}

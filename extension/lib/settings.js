/** The user's settings, in a storage area that web pages and content scripts cannot read. */

import { Problem } from "./problems.js";

/**
 * @typedef {object} Settings
 * @property {string} server base URL without a trailing slash; empty until it is set
 * @property {string} key API key; empty if the server needs none
 * @property {string} consent the server that the user has agreed to send texts to
 * @property {boolean} youtube true if comments on YouTube are classified
 * @property {boolean} badges
 * @property {boolean} toolbar
 * @property {string[]} hide labels whose comments are hidden until the user shows them
 * @property {number} unsureBelow
 * @property {boolean} onlyListed true if only the channels below are classified
 * @property {string[]} channels handles (@name) and ids (UC…)
 * @property {string} language of the user interface; empty: the browser's
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

/** Deny content scripts access to the storage, since they run inside web pages. */
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
 * @param {string} typed an address as typed by the user
 * @returns {string} the base URL, or "" if it is not a valid one
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
 * @returns {string} its handle (@name) or its id (UC…), or "" if it is neither
 */
export function channelName(typed) {
  const path = plainAddress(typed.trim()).replace(/^(https?:\/\/)?((www|m)\.)?youtube\.com(?=\/)/i, "");
  const id = /^(?:\/channel\/)?(UC[\w-]{22})(?![\w-])/.exec(path);
  if (id) return id[1];
  const handle = /^\/?@([^\s@/?#]+)/.exec(path) ?? /^([^\s@/?#]+)$/.exec(path);
  return handle ? `@${handle[1]}` : "";
}

/** @param {string} address may have percent-encoded characters */
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
 * Ask the user for the server's host permission; the browser allows this only while handling a click.
 *
 * @param {string} server
 * @returns {Promise<boolean>}
 */
export async function requestPermission(server) {
  return chrome.permissions.request({ origins: [permissionFor(server)] });
}

/**
 * Revoke the permissions for servers that are no longer used.
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
 * @returns {Promise<Settings>} settings that allow requests to the server
 * @throws {Problem} if no server is set, or consent or permission is missing
 */
export async function usableSettings() {
  const settings = await loadSettings();
  if (!settings.server || settings.consent !== settings.server) throw new Problem("not-configured");
  if (!(await isPermitted(settings.server))) throw new Problem("no-permission");
  return settings;
}

/**
 * The settings that content scripts may see: never the server or its key.
 *
 * @param {Settings} settings
 */
export function shownSettings({ server, consent, youtube, badges, toolbar, hide, onlyListed, channels }) {
  return { ready: server !== "" && consent === server, youtube, badges, toolbar, hide, onlyListed, channels };
}

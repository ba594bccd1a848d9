/** Rules: what the extension must never do, and the messages it needs in every language. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { WAYS_OUT } from "../../../extension/lib/problems.js";

const root = new URL("../../../extension/", import.meta.url);
const read = (path) => readFileSync(new URL(path, root), "utf8");
const files = readdirSync(root, { recursive: true }).filter((path) => !path.startsWith("node_modules"));
const scripts = files.filter((path) => path.endsWith(".js"));
const pages = files.filter((path) => path.endsWith(".html"));
const manifest = JSON.parse(read("manifest.json"));
const locales = files.filter((path) => path.endsWith("messages.json"));

test("the permissions are exactly these", () => {
  assert.deepEqual(manifest.permissions, ["activeTab", "contextMenus", "scripting", "storage"]);
  assert.deepEqual(manifest.optional_host_permissions, ["http://*/*", "https://*/*"]);
  assert.deepEqual(manifest.content_scripts.map(({ matches }) => matches), [["https://www.youtube.com/*"]]);
  for (const key of ["host_permissions", "optional_permissions", "web_accessible_resources", "externally_connectable", "key", "update_url"]) {
    assert.ok(!(key in manifest), key);
  }
  assert.match(manifest.content_security_policy.extension_pages, /^default-src 'none'; script-src 'self'; /);
});

test("foreign text never becomes HTML or code, and no remote code is loaded", () => {
  const forbidden = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|setHTML|\beval\b|new Function|\bFunction\(|set(?:Timeout|Interval)\(\s*["'`]|importScripts|srcdoc/;
  for (const path of scripts) assert.doesNotMatch(read(path), forbidden, path);
  for (const path of pages) {
    assert.doesNotMatch(read(path), /(?:src|href)="(?:https?:)?\/\//, path);
    assert.doesNotMatch(read(path), /<script(?![^>]*\ssrc=)|\son\w+=|style="/, path);
  }
});

test("only one module uses the network, and only for the user's server", () => {
  const network = /\bfetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|WebTransport|RTCPeerConnection|\bimport\(/;
  const speaking = scripts.filter((path) => network.test(read(path).replaceAll(/\/\*[^]*?\*\//g, "")));
  assert.deepEqual(speaking.sort(), ["lib/server.js", "lib/strings.js"]);
  assert.match(read("lib/strings.js"), /fetch\(chrome\.runtime\.getURL\(/);
  for (const path of scripts) assert.deepEqual(read(path).match(/https?:\/\/[\w.-]+/g)?.filter((url) => url !== "https://www.youtube.com") ?? [], [], path);
});

test("only trusted contexts access the settings", () => {
  for (const path of scripts.filter((path) => path.startsWith("content/"))) assert.doesNotMatch(read(path), /chrome\.storage/, path);
});

test("only selectors.js depends on YouTube's layout", () => {
  for (const path of scripts.filter((path) => path !== "content/selectors.js")) {
    assert.doesNotMatch(read(path), /["'`#. ](?:ytd-|yt-(?!navigate))/, path);
  }
});

test("every file in the manifest exists", () => {
  const named = [manifest.background.service_worker, manifest.action.default_popup, manifest.options_ui.page, ...Object.values(manifest.icons)];
  for (const path of [...named, ...manifest.content_scripts.flatMap(({ js, css }) => [...js, ...css])]) assert.ok(files.includes(path), path);
});

test("the version is the package's", () => {
  const source = readFileSync(new URL("../commentwise/__init__.py", root), "utf8");
  assert.equal(manifest.version, /^__version__ = "(.+)"$/m.exec(source)[1]);
});

test("languages have the same keys and placeholders", () => {
  assert.ok(locales.length >= 2);
  const english = JSON.parse(read("_locales/en/messages.json"));
  const insertions = (message) => (message.match(/\$\d/g) ?? []).sort();
  for (const path of locales) {
    const messages = JSON.parse(read(path));
    assert.deepEqual(Object.keys(messages), Object.keys(english), path);
    for (const [key, { message }] of Object.entries(messages)) {
      assert.ok(message.trim(), `${path}: ${key}`);
      assert.deepEqual(insertions(message), insertions(english[key].message), `${path}: ${key}`);
    }
  }
});

test("every problem and every way out has a message", () => {
  const english = JSON.parse(read("_locales/en/messages.json"));
  for (const [kind, ways] of Object.entries(WAYS_OUT)) {
    const name = kind.replaceAll("-", "_");
    for (const key of [`problem_${name}_title`, `problem_${name}_text`, ...ways.map((way) => `way_${way.replaceAll("-", "_")}`)]) {
      assert.ok(key in english, key);
    }
  }
});

test("every message used exists, and every message is used", () => {
  const english = JSON.parse(read("_locales/en/messages.json"));
  const source = [...scripts, ...pages, "manifest.json"].map(read).join("\n");
  const said = [...source.matchAll(/\bsay\(\s*"(\w+)"|data-(?:say|title|placeholder|aria-label)="(\w+)"|__MSG_(\w+)__/g)].map((match) => match[1] ?? match[2] ?? match[3]);
  for (const key of said) assert.ok(key in english, key);
  const made = /^(?:label|problem|way|sort|most|correction|kept|unsure_count|coverage_unknown|kept_open)_/;
  const unused = Object.keys(english).filter((key) => !made.test(key) && !new RegExp(`["\`.]${key}\\b|__MSG_${key}__`).test(source));
  assert.deepEqual(unused, []);
});

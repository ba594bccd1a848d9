import assert from "node:assert/strict";
import { test } from "node:test";
import { correct, loadCorrections, sendCorrections } from "../../../extension/lib/corrections.js";
import { fakeChrome, fakeServer, json } from "./fakes.mjs";

const corrected = (text, label = "negative") => ({ text, label, predicted: "positive", bundleId: "b".repeat(64) });
const sent = (server) => server.requests.map(({ body }) => body.text);

test("a correction goes out in the server's format", async () => {
  fakeChrome({ settings: { sendCorrections: true } });
  const server = fakeServer();
  assert.equal(await correct(corrected("wrong")), "sent");
  const [{ path, body }] = server.requests;
  assert.equal(path, "/feedback");
  assert.match(body.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.deepEqual({ ...body, id: "" }, { text: "wrong", label: "negative", predicted: "positive", bundle_id: "b".repeat(64), source: "extension", id: "" });
});

test("corrections made at once are all kept, and each is sent once", async () => {
  fakeChrome({ settings: { sendCorrections: true } });
  const server = fakeServer();
  const texts = ["one", "two", "three", "four"];
  assert.deepEqual(await Promise.all(texts.map((text) => correct(corrected(text)))), texts.map(() => "sent"));
  assert.deepEqual((await loadCorrections()).map(({ text }) => text), texts);
  assert.deepEqual(sent(server), texts);
});

test("who changes their mind before it is sent sends the last word only", async () => {
  const chrome = fakeChrome();
  const server = fakeServer();
  assert.equal(await correct(corrected("text", "negative")), "kept");
  assert.equal(await correct(corrected("text", "neutral")), "kept");
  chrome.storage.local.content.settings.sendCorrections = true;
  assert.equal(await sendCorrections(), null);
  assert.deepEqual(server.requests.map(({ body }) => body.label), ["neutral"]);
});

test("a server that takes none is asked again with the next one; what it refuses is not sent again", async () => {
  fakeChrome({ settings: { sendCorrections: true } });
  const server = fakeServer({ answers: [json({ error: "no such route" }, 404)] });
  assert.equal(await correct(corrected("first")), "later");
  server.answers = [json({ error: "the labels are others" }, 422)];
  assert.equal(await correct(corrected("second")), "sent");
  assert.deepEqual(sent(server), ["first", "first", "second"]);
  assert.deepEqual((await loadCorrections()).map(({ sent, refused }) => [sent, refused]), [[false, true], [true, false]]);
  assert.equal(await sendCorrections(), null);
  assert.equal(server.requests.length, 3);
});

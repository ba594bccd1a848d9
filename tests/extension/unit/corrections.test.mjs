import assert from "node:assert/strict";
import { test } from "node:test";
import { correct, loadCorrections, sendCorrections } from "../../../extension/lib/corrections.js";
import { fakeChrome, fakeServer, json } from "./fakes.mjs";

const corrected = (text, label = "negative") => ({ text, label, predicted: "positive", bundleId: "b".repeat(64) });
const sent = (server) => server.requests.map(({ body }) => body.text);

test("a correction is sent in the server's format", async () => {
  fakeChrome({ settings: { sendCorrections: true } });
  const server = fakeServer();
  assert.equal(await correct(corrected("wrong")), "sent");
  const [{ path, body }] = server.requests;
  assert.equal(path, "/feedback");
  assert.match(body.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.deepEqual({ ...body, id: "" }, { text: "wrong", label: "negative", predicted: "positive", bundle_id: "b".repeat(64), source: "extension", id: "" });
});

test("concurrent corrections are all kept, and each is sent once", async () => {
  fakeChrome({ settings: { sendCorrections: true } });
  const server = fakeServer();
  const texts = ["one", "two", "three", "four"];
  assert.deepEqual(await Promise.all(texts.map((text) => correct(corrected(text)))), texts.map(() => "sent"));
  assert.deepEqual((await loadCorrections()).map(({ text }) => text), texts);
  assert.deepEqual(sent(server), texts);
});

test("of several corrections of a text before sending, only the latest is sent", async () => {
  const chrome = fakeChrome();
  const server = fakeServer();
  assert.equal(await correct(corrected("text", "negative")), "kept");
  assert.equal(await correct(corrected("text", "neutral")), "kept");
  chrome.storage.local.content.settings.sendCorrections = true;
  assert.equal(await sendCorrections(), null);
  assert.deepEqual(server.requests.map(({ body }) => body.label), ["neutral"]);
});

test("unsent corrections are sent with the next one; rejected ones are not sent again", async () => {
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

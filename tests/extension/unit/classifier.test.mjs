import assert from "node:assert/strict";
import { test } from "node:test";
import { classify } from "../../../extension/lib/classifier.js";
import { fakeChrome, fakeServer, json } from "./fakes.mjs";

const listening = () => ({ signal: new AbortController().signal, onWait() {} });
const texts = (count, start = 0) => Array.from({ length: count }, (_, index) => `text ${start + index}`);

test("batches respect the server's limit, and answers are in order", async () => {
  fakeChrome();
  const server = fakeServer({ maxTexts: 4 });
  const { results, about } = await classify(texts(10), listening());
  assert.deepEqual(results.map(({ text }) => text), texts(10));
  assert.deepEqual(server.requests.map(({ path, body }) => body?.texts.length ?? path), ["/info", 4, 4, 2]);
  assert.equal(about.family, "bert");
});

test("identical texts are sent once", async () => {
  fakeChrome();
  const server = fakeServer();
  const { results } = await classify(["twice", "other", "twice"], listening());
  assert.deepEqual(results.map(({ text }) => text), ["twice", "other", "twice"]);
  assert.deepEqual(server.requests[1].body.texts, ["twice", "other"]);
});

test("the cache key is text, bundle and threshold", async () => {
  const chrome = fakeChrome();
  const server = fakeServer();
  await classify(["unique to this test"], listening());
  assert.equal((await classify(["unique to this test"], listening())).milliseconds, 0);
  assert.equal(server.requests.length, 2);
  chrome.storage.local.content.settings.unsureBelow = 0.9;
  await classify(["unique to this test"], listening());
  assert.equal(server.requests.length, 3);
  server.bundleId = "c".repeat(64);
  delete chrome.storage.session.content.about;
  await classify(["unique to this test"], listening());
  assert.equal(server.requests.length, 5);
});

test("a bundle that changes between two batches invalidates the answers of the first", async () => {
  fakeChrome();
  const server = fakeServer({ maxTexts: 2 });
  const fetched = globalThis.fetch;
  globalThis.fetch = async (url, options) => {
    const answer = await fetched(url, options);
    if (server.requests.length === 2) server.bundleId = "d".repeat(64);
    return answer;
  };
  const { about } = await classify(texts(4, 100), listening());
  assert.equal(about.bundleId, "d".repeat(64));
  const asked = server.requests.filter(({ body }) => body).flatMap(({ body }) => body.texts);
  assert.deepEqual(asked.slice(-4), texts(4, 100));
});

test("the texts of comments are not stored", async () => {
  const chrome = fakeChrome();
  fakeServer();
  await classify(["a private remark"], listening());
  assert.ok(!JSON.stringify([...chrome.storage.session.content.cache.map(([key]) => key)]).includes("private"));
});

test("a body that is too large is halved until it fits; a single text that is too large gets an error", async () => {
  fakeChrome();
  const server = fakeServer({ maxTexts: 8 });
  const fetched = globalThis.fetch;
  globalThis.fetch = async (url, options) => {
    if (options.body?.includes("huge")) {
      await fetched(url, options);
      return json({ error: "too large" }, 413);
    }
    return fetched(url, options);
  };
  const { results } = await classify([...texts(3, 200), "huge"], listening());
  assert.deepEqual(results.map(({ text, error }) => text ?? error), [...texts(3, 200), "too large"]);
  assert.equal(server.requests.at(-1).body.texts[0], "huge");
});

test("a restarted server's lower limit is respected", async () => {
  const chrome = fakeChrome();
  const server = fakeServer({ maxTexts: 8 });
  await classify(["before"], listening());
  server.maxTexts = 4;
  server.answers.push(json({ error: "8 texts are more than 4" }, 422));
  const { results } = await classify(texts(8, 300), listening());
  assert.deepEqual(results.map(({ text }) => text), texts(8, 300));
  assert.equal(chrome.storage.session.content.about.value.maxTexts, 4);
});

test("Retry-After is respected and reported, then the request is repeated", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  fakeChrome();
  const server = fakeServer({ answers: [json({ error: "later" }, 429, { "Retry-After": "7" })] });
  const signal = new AbortController().signal;
  let request;
  const waiting = await new Promise((onWait) => (request = classify(["patience"], { signal, onWait })));
  assert.deepEqual(waiting, { kind: "busy", detail: "later", retryAfter: 7 });
  t.mock.timers.tick(6999);
  await new Promise(setImmediate);
  assert.equal(server.requests.length, 2);
  t.mock.timers.tick(1);
  assert.equal((await request).results[0].text, "patience");
  assert.equal(server.requests.length, 3);
});

test("a server that does not answer is retried a few times", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  fakeChrome();
  const down = () => new TypeError("Failed to fetch");
  const server = fakeServer({ answers: [down(), down()] });
  const waits = [];
  const listener = {
    signal: new AbortController().signal,
    onWait: ({ kind, retryAfter }) => {
      waits.push([kind, retryAfter]);
      setImmediate(() => t.mock.timers.tick(1000 * retryAfter));
    },
  };
  assert.equal((await classify(["down"], listener)).results[0].text, "down");
  assert.deepEqual(waits, [["server-down", 1], ["server-down", 2]]);
  server.answers = Array.from({ length: 5 }, down);
  await assert.rejects(classify(["down for good"], listener), { kind: "server-down" });
  assert.deepEqual(server.answers, []);
});

test("a pause that is too long for a worker is left to the caller", async () => {
  fakeChrome();
  fakeServer({ answers: [json({}, 503, { "Retry-After": "60" })] });
  await assert.rejects(classify(["later"], listening()), { kind: "unready", retryAfter: 60 });
});

test("aborting ends a pause", async () => {
  fakeChrome();
  const server = fakeServer({ answers: [json({}, 429, { "Retry-After": "15" })] });
  const controller = new AbortController();
  const request = classify(["gone"], { signal: controller.signal, onWait: () => controller.abort(new Error("aborted")) });
  await assert.rejects(request, /aborted/);
  assert.equal(server.requests.length, 2);
});

test("nothing is sent without a server, consent or permission", async () => {
  const server = fakeServer();
  for (const [given, kind] of [
    [{ settings: { server: "" } }, "not-configured"],
    [{ settings: { consent: "http://another" } }, "not-configured"],
    [{ permitted: false }, "no-permission"],
  ]) {
    fakeChrome(given);
    await assert.rejects(classify(["text"], listening()), { kind });
  }
  assert.equal(server.requests.length, 0);
});

test("requests carry the key, no cookies and no referrer, and follow no redirect", async () => {
  fakeChrome({ settings: { key: "secret" } });
  const server = fakeServer();
  await classify(["guarded"], listening());
  for (const { headers, options } of server.requests) {
    assert.equal(headers.Authorization, "Bearer secret");
    assert.deepEqual([options.credentials, options.redirect, options.referrerPolicy], ["omit", "error", "no-referrer"]);
  }
});

test("every failure has a kind", async () => {
  for (const [answer, kind] of [
    [new Response("<html>"), "not-commentwise"],
    [json({ results: [] }), "not-commentwise"],
    [json({ error: "e" }, 401), "unauthorized"],
    [json({ error: "e" }, 422), "refused"],
    [json({ error: "e" }, 424), "server-error"],
    [json({ error: "e" }, 500), "server-error"],
    [json({ error: "e" }, 504), "slow"],
  ]) {
    fakeChrome();
    fakeServer({ answers: [answer] });
    await assert.rejects(classify([`goes wrong: ${kind}`], listening()), { kind });
  }
});

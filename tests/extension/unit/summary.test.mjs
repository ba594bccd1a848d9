import assert from "node:assert/strict";
import { test } from "node:test";
import { commentRows, csv } from "../../../extension/lib/export.js";
import { kindOf, retryAfter } from "../../../extension/lib/problems.js";
import { channelName, isLoopback, permissionFor, serverAddress } from "../../../extension/lib/settings.js";
import { clock, extremes, overTime, parentsAndReplies, poles, timeStamps, totalNumber } from "../../../extension/lib/summary.js";

const LABELS = ["negative", "neutral", "positive"];

function comment(text, sentiment, share = 0.9, more = {}) {
  const rest = (1 - share) / 2;
  const probabilities = Object.fromEntries(LABELS.map((label) => [label, label === sentiment ? share : rest]));
  return { id: text, text, isReply: false, result: { sentiment, confidence: share, probabilities, unsure: share < 0.6, tokens: 1, truncated: false }, ...more };
}

test("timestamps", () => {
  assert.deepEqual(timeStamps("1:23 and 01:02:03, again 1:23"), [83, 3723]);
  assert.deepEqual(timeStamps("at 9:99, 12:5, 1:75:00, 3.4:10, 1:2:3:4 or 2024-01-02"), []);
  assert.deepEqual(timeStamps("see 0:10 and 50:00", 600), [10]);
  assert.equal(clock(3723), "1:02:03");
  assert.equal(clock(59.9), "0:59");
});

test("the total as displayed by YouTube", () => {
  const totals = { "1,873 Comments": 1873, "1.873 Kommentare": 1873, "1 873 commentaires": 1873, "12 Comments": 12, "1,234,567": 1234567 };
  for (const [text, number] of Object.entries(totals)) assert.equal(totalNumber(text), number, text);
  for (const text of ["1.2K Comments", "3 Mio. Kommentare", "12K", "", "Comments"]) assert.equal(totalNumber(text), null, text);
});

test("extremes are the clearest comments, unsure ones excluded", () => {
  const comments = [comment("a", "positive", 0.8), comment("b", "positive", 0.95), comment("c", "neutral"), comment("d", "negative", 0.5)];
  const { positive, negative } = extremes(comments, LABELS);
  assert.equal(positive.id, "b");
  assert.equal(negative, null);
  assert.deepEqual(extremes([], LABELS), { positive: null, negative: null });
});

test("the ends of a label set", () => {
  assert.deepEqual(poles(["Positive", "Negative"]), { negative: "Negative", positive: "Positive" });
  assert.deepEqual(poles(["1 star", "3 stars", "5 stars"]), { negative: "1 star", positive: "5 stars" });
});

test("parents and replies", () => {
  const comments = [comment("a", "positive"), comment("b", "negative", 0.9, { isReply: true }), comment("c", "negative", 0.9, { isReply: true })];
  const { parents, replies } = parentsAndReplies(comments, LABELS);
  assert.deepEqual([parents.count, parents.counts.positive, replies.count, replies.counts.negative], [1, 1, 2, 2]);
});

test("over time: every quoted time is in one part", () => {
  const comments = [comment("0:00 start", "positive"), comment("10:00 end", "negative"), comment("5:00 and 5:10", "neutral"), comment("none", "neutral")];
  const parts = overTime(comments, LABELS, 600);
  assert.equal(parts.reduce((sum, { count }) => sum + count, 0), 4);
  assert.deepEqual([parts[0].first, parts.at(-1).first, parts.at(-1).end], [0, 600, 600]);
  assert.deepEqual(overTime([comment("none", "neutral")], LABELS, 600), []);
});

test("CSV that spreadsheets read but do not execute", () => {
  const text = csv(["a", "b"], [{ a: 'say "hi", all', b: "=1+1" }, { a: "line\nbreak", b: -0.5 }, { a: null, b: "-x" }]);
  assert.equal(text, 'a,b\r\n"say ""hi"", all",\'=1+1\r\n"line\nbreak",-0.5\r\n,\'-x\r\n');
});

test("a comment without an answer keeps its row", () => {
  const [row] = commentRows({ videoId: "v", comments: [{ id: "1", text: "t", isReply: false, result: { error: "no" } }] }, LABELS);
  assert.deepEqual([row.text, row.sentiment, row.p_neutral], ["t", null, null]);
});

test("server addresses", () => {
  const addresses = {
    "127.0.0.1:8000": "http://127.0.0.1:8000",
    " http://localhost:8000/ ": "http://localhost:8000",
    "comments.example": "https://comments.example",
    "https://host.example/api/v1/": "https://host.example/api/v1",
    "[::1]:8000": "http://[::1]:8000",
    "ftp://host": "",
    "javascript:alert(1)": "",
    "https://me:secret@host": "",
    "": "",
  };
  for (const [typed, address] of Object.entries(addresses)) assert.equal(serverAddress(typed), address, typed);
  assert.equal(permissionFor("https://host.example:8443/api"), "https://host.example:8443/*");
  assert.ok(isLoopback("http://127.0.0.1:8000") && isLoopback("http://localhost"));
  assert.ok(!isLoopback("http://localhost.example") && !isLoopback("https://host.example/127.0.0.1"));
});

test("channels in every common form", () => {
  const id = "UCabcdefghijklmnopqrs-_1";
  const names = {
    "@One": "@One",
    " one.two ": "@one.two",
    "https://www.youtube.com/@one/videos?x=1": "@one",
    "youtube.com/@one": "@one",
    "m.youtube.com/@%E6%97%A5%E6%9C%AC": "@日本",
    [id]: id,
    [`https://www.youtube.com/channel/${id}/about`]: id,
    [`/channel/${id}`]: id,
    "https://www.youtube.com/c/one": "",
    "https://www.youtube.com/channel/one": "",
    "https://example.com/@one": "",
    "@": "",
    "": "",
  };
  for (const [typed, name] of Object.entries(names)) assert.equal(channelName(typed), name, typed);
});

test("statuses and Retry-After", () => {
  assert.equal(kindOf(418), "not-commentwise");
  assert.equal(kindOf(599), "server-error");
  assert.equal(retryAfter("7"), 7);
  assert.equal(retryAfter(null), undefined);
  assert.equal(retryAfter("soon"), undefined);
  const inTen = retryAfter(new Date(Date.now() + 10_000).toUTCString());
  assert.ok(inTen >= 9 && inTen <= 10);
});

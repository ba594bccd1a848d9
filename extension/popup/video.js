/** The summary of a video's loaded comments. */

import { button, make, redraw } from "../lib/elements.js";
import { commentRows, csv, download } from "../lib/export.js";
import { classified, distribution, extremes, overTime, parentsAndReplies, totalNumber } from "../lib/summary.js";
import { bars, signOf, stack, timeline } from "./charts.js";

/** @typedef {import("../lib/types.js").Snapshot} Snapshot */
/** @typedef {import("../lib/strings.js").Speaker} Speaker */

/**
 * @param {HTMLElement} section
 * @param {Speaker} speak
 * @param {Snapshot} snapshot
 * @param {(seconds: number) => void} seek
 */
export function showVideo(section, speak, snapshot, seek) {
  const comments = classified(snapshot.comments);
  const labels = snapshot.about?.labels ?? [];
  if (!snapshot.comments.length) return redraw(section);
  const heading = make("h2", {}, speak.say("video_comments"));
  const coverage = make("p", { class: "coverage" }, coverageLine(speak, snapshot));
  if (!comments.length) {
    return redraw(section, heading, coverage, snapshot.trouble ? "" : make("p", { class: "quiet" }, speak.say("classifying")));
  }
  const counts = distribution(comments, labels);
  const share = (/** @type {string} */ label) => counts[label] / comments.length;
  const words = (/** @type {string} */ label) => `${counts[label]} · ${speak.percent(share(label))}`;
  const unsure = comments.filter(({ result }) => result.unsure).length;
  return redraw(
    section,
    heading,
    coverage,
    bars(speak, labels, share, words),
    unsure ? make("p", { class: "quiet" }, speak.count("unsure_count", unsure)) : "",
    ...extremeQuotes(speak, comments, labels),
    ...comparison(speak, comments, labels),
    ...times(speak, comments, labels, snapshot.duration, seek),
    actions(speak, snapshot, labels, counts, comments.length),
  );
}

/**
 * @param {Speaker} speak
 * @param {Snapshot} snapshot
 */
function coverageLine({ say, count }, { total, comments }) {
  const number = totalNumber(total);
  if (number !== null) return `${say("coverage", comments.length, Math.max(number, comments.length))} ${say("not_representative")}`;
  return `${count("coverage_unknown", comments.length)} ${say("not_representative")}`;
}

/**
 * @param {Speaker} speak
 * @param {import("../lib/summary.js").Classified[]} comments
 * @param {string[]} labels
 */
function extremeQuotes({ say, percent }, comments, labels) {
  const found = extremes(comments, labels);
  return /** @type {const} */ (["positive", "negative"]).flatMap((end) => {
    const comment = found[end];
    if (!comment) return [];
    const confidence = make("span", { class: "words" }, percent(comment.result.confidence));
    return [make("h3", { class: end }, `${signOf(end)} ${say(`most_${end}`)}`, confidence), make("blockquote", {}, comment.text)];
  });
}

/**
 * @param {Speaker} speak
 * @param {import("../lib/summary.js").Classified[]} comments
 * @param {string[]} labels
 */
function comparison(speak, comments, labels) {
  const { parents, replies } = parentsAndReplies(comments, labels);
  if (!parents.count || !replies.count) return [];
  const row = (/** @type {string} */ key, /** @type {typeof parents} */ { counts }) =>
    make("li", {}, make("span", { class: "name" }, speak.say(key)), stack(speak, labels, counts));
  const rows = make("ul", { class: "comparison" }, row("parents", parents), row("replies", replies));
  return [make("h3", {}, speak.say("parents_and_replies")), rows];
}

/**
 * @param {Speaker} speak
 * @param {import("../lib/summary.js").Classified[]} comments
 * @param {string[]} labels
 * @param {number} duration
 * @param {(seconds: number) => void} seek
 */
function times(speak, comments, labels, duration, seek) {
  const parts = overTime(comments, labels, duration);
  return parts.length ? [make("h3", {}, speak.say("over_time")), timeline(speak, labels, parts, seek)] : [];
}

/**
 * @param {Speaker} speak
 * @param {Snapshot} snapshot
 * @param {string[]} labels
 * @param {Record<string, number>} counts
 * @param {number} total
 */
function actions(speak, snapshot, labels, counts, total) {
  const rows = commentRows(snapshot, labels);
  const name = `comments-${snapshot.videoId}`;
  const lines = [
    snapshot.title,
    coverageLine(speak, snapshot),
    ...labels.map((label) => `${speak.label(label)}: ${counts[label]} (${speak.percent(counts[label] / total)})`),
    speak.say("model", snapshot.about?.family ?? "", snapshot.about?.bundleId.slice(0, 8) ?? ""),
  ];
  const copy = button(speak.say("copy"), async () => {
    await navigator.clipboard.writeText(lines.filter(Boolean).join("\n"));
    copy.textContent = speak.say("copied");
  });
  const columns = Object.keys(rows[0]);
  const json = () => JSON.stringify({ video_id: snapshot.videoId, title: snapshot.title, ...about(snapshot), comments: rows }, null, 2);
  return make(
    "p",
    { class: "actions" },
    copy,
    button("CSV", () => download(`${name}.csv`, "text/csv", csv(columns, rows))),
    button("JSON", () => download(`${name}.json`, "application/json", json())),
  );
}

/** @param {Snapshot} snapshot */
function about({ about, total }) {
  return { bundle_id: about?.bundleId ?? null, family: about?.family ?? null, total_as_shown: total };
}

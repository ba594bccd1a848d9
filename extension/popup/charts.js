/** Charts made of plain elements; every number is also available as text. */

import { make } from "../lib/elements.js";
import { clock, poles } from "../lib/summary.js";

/**
 * @param {string} label
 * @param {string[]} labels
 * @returns {"positive" | "negative" | "neutral"}
 */
export function toneOf(label, labels) {
  const { positive, negative } = poles(labels);
  return label === positive ? "positive" : label === negative ? "negative" : "neutral";
}

/** @param {"positive" | "negative" | "neutral"} tone */
export function signOf(tone) {
  return { positive: "▲", negative: "▼", neutral: "●" }[tone];
}

/**
 * @param {import("../lib/strings.js").Speaker} speak
 * @param {string[]} labels
 * @param {(label: string) => number} share length of the bar, from 0 to 1
 * @param {(label: string) => string} words text beside the bar
 */
export function bars(speak, labels, share, words) {
  return make(
    "ul",
    { class: "bars" },
    ...labels.map((label) => {
      const tone = toneOf(label, labels);
      const bar = make("span", { class: "bar" });
      bar.style.width = `${100 * share(label)}%`;
      return make(
        "li",
        { class: tone },
        make("span", { class: "name" }, make("span", { "aria-hidden": "true" }, `${signOf(tone)} `), speak.label(label)),
        make("span", { class: "track", "aria-hidden": "true" }, bar),
        make("span", { class: "words" }, words(label)),
      );
    }),
  );
}

/**
 * @param {import("../lib/strings.js").Speaker} speak
 * @param {string[]} labels
 * @param {Record<string, number>} counts
 * @returns {HTMLElement} a stacked bar of all labels
 */
export function stack({ label: name }, labels, counts) {
  const words = labels.map((label) => `${name(label)} ${counts[label]}`).join(", ");
  const parts = labels.map((label) => {
    const part = make("span", { class: toneOf(label, labels) }, counts[label] ? String(counts[label]) : "");
    part.style.flexGrow = String(counts[label]);
    part.hidden = !counts[label];
    return part;
  });
  return make("span", { class: "stack", role: "img", "aria-label": words }, ...parts);
}

/**
 * @param {import("../lib/strings.js").Speaker} speak
 * @param {string[]} labels
 * @param {ReturnType<typeof import("../lib/summary.js").overTime>} parts
 * @param {(seconds: number) => void} seek
 */
export function timeline({ say, label: name }, labels, parts, seek) {
  const highest = Math.max(...parts.map(({ count }) => count));
  const columns = parts.map(({ count, counts, first, start }) => {
    if (!count) return make("span", { class: "column" });
    const words = labels.filter((label) => counts[label]).map((label) => `${name(label)} ${counts[label]}`);
    const text = say("at_time", clock(first), words.join(", "));
    const column = make("button", { type: "button", class: "column", title: text, "aria-label": text, "data-name": start });
    for (const label of labels) {
      const part = make("span", { class: toneOf(label, labels) });
      part.style.height = `${(100 * counts[label]) / highest}%`;
      column.append(part);
    }
    column.addEventListener("click", () => seek(first));
    return column;
  });
  return make(
    "div",
    { class: "timeline" },
    make("div", { class: "columns" }, ...columns),
    make("div", { class: "scale", "aria-hidden": "true" }, make("span", {}, clock(0)), make("span", {}, clock(parts[parts.length - 1].end))),
  );
}

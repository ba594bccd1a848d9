/** The sentiment of one text, selected or typed. */

import { button, make } from "../lib/elements.js";
import { bars, signOf, toneOf } from "./charts.js";

/** @type {AbortController | undefined} */
let request;

/**
 * @param {HTMLElement} section
 * @param {import("../lib/strings.js").Speaker} speak
 * @param {string} heading
 * @param {string} text
 * @param {object} callbacks
 * @param {(trouble: import("../lib/types.js").Trouble | null) => void} callbacks.onTrouble
 * @param {(about: import("../lib/types.js").About, milliseconds: number) => void} callbacks.onModel
 */
export async function showSelection(section, speak, heading, text, { onTrouble, onModel }) {
  request?.abort();
  request = new AbortController();
  const quote = make("blockquote", {}, text);
  section.replaceChildren(make("h2", {}, heading), quote, make("p", { class: "quiet" }, speak.say("classifying")));
  const { answer, trouble } = await askWorker([text], request.signal, onTrouble);
  const result = answer?.results[0];
  onTrouble(trouble ?? (result && "error" in result ? { kind: "refused", detail: result.error } : null));
  if (!answer || !result || !("sentiment" in result)) {
    section.replaceChildren(make("h2", {}, heading), quote);
    return;
  }
  onModel(answer.about, answer.milliseconds);
  const tone = toneOf(result.sentiment, answer.about.labels);
  section.replaceChildren(
    make("h2", {}, heading),
    quote,
    make(
      "p",
      { class: `verdict ${tone}` },
      make("span", { "aria-hidden": "true" }, result.unsure ? "?" : signOf(tone)),
      make("strong", {}, speak.label(result.sentiment)),
      result.unsure ? make("span", {}, speak.say("unsure")) : "",
      make("span", { class: "share" }, speak.percent(result.confidence)),
    ),
    bars(speak, answer.about.labels, (label) => result.probabilities[label] ?? 0, (label) => speak.percent(result.probabilities[label] ?? 0)),
    result.unsure ? make("p", { class: "quiet" }, speak.say("unsure_note")) : "",
    result.truncated ? make("p", { class: "quiet" }, speak.say("truncated_note", result.tokens)) : "",
    corrections(speak, text, result, answer.about),
  );
}

/**
 * @param {import("../lib/strings.js").Speaker} speak
 * @param {string} text
 * @param {import("../lib/types.js").Analysis} analysis
 * @param {import("../lib/types.js").About} about
 */
function corrections({ say, label: name }, text, { sentiment }, { labels, bundleId }) {
  const group = make("p", { class: "corrections", role: "group", "aria-label": say("wrong_label") }, say("wrong_label"));
  for (const label of labels.filter((one) => one !== sentiment)) {
    const choose = button(name(label), async () => {
      const outcome = await chrome.runtime.sendMessage({ type: "correct", text, label, predicted: sentiment, bundleId });
      group.replaceChildren(say(`correction_${outcome}`, name(label)));
    });
    choose.setAttribute("aria-label", say("correct_to", name(label)));
    group.append(choose);
  }
  group.setAttribute("aria-live", "polite");
  return group;
}

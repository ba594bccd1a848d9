/** The playground: comments, one per line, their labels and probabilities, and what each word speaks for. */

import { element } from "./elements.js";
import { ask, withAccess } from "./server.js";

/** Texts per request; the server's own limit is in its /info. */
let maxTexts = 1;

/** Words that are listed with their weights. */
const LISTED = 5;

const byId = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const signed = (weight) => `${weight < 0 ? "−" : "+"}${Math.abs(weight).toFixed(2)}`;
const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

async function showModel() {
  const about = await ask("info");
  maxTexts = about.max_client_batch_size;
  const labels = about.labels.join(", ");
  const bundle = element("code", { title: about.bundle_id }, about.bundle_id.slice(0, 12));
  byId("model").replaceChildren(
    "Bundle ", bundle, ` · ${about.family} · ${about.graph} on ${about.device} · up to ${about.max_input_length} tokens · ${labels}`,
  );
  byId("problem").textContent = "";
}

async function classify() {
  const texts = byId("texts").value.split("\n").filter((line) => line.trim());
  if (!texts.length) return;
  const started = performance.now();
  const results = [];
  for (let first = 0; first < texts.length; first += maxTexts) {
    const { results: part } = await ask("analyze", { texts: texts.slice(first, first + maxTexts) });
    results.push(...part);
  }
  const milliseconds = Math.max(1, Math.round(performance.now() - started));
  byId("state").textContent = `${count(texts.length, "comment")} in ${milliseconds} ms`;
  byId("problem").textContent = "";
  byId("results").replaceChildren(...results.map((result, index) => shown(texts[index], result)));
}

function shown(text, result) {
  const item = element("li", {}, element("p", { class: "text", dir: "auto" }, text));
  if ("error" in result) {
    item.append(element("p", { class: "problem" }, result.error));
    return item;
  }
  const notes = [count(result.tokens, "token") + (result.truncated ? " (truncated)" : ""), `language ${result.language}`];
  if (result.unsure) notes.push("unsure");
  const button = element("button", { type: "button", "aria-expanded": "false" }, "Explain");
  const place = element("div", {});
  button.onclick = () => explain(text, result.label, button, place);
  item.append(bars(result), element("div", { class: "facts row" }, button, element("span", { class: "quiet" }, notes.join(" · "))), place);
  return item;
}

function bars({ label, probabilities }) {
  const list = element("dl", { class: "bars" });
  for (const [name, share] of Object.entries(probabilities).sort(([, one], [, other]) => other - one)) {
    const best = name === label ? " best" : "";
    const bar = element("i");
    bar.style.width = `${100 * share}%`;
    list.append(
      element("dt", {}, element("span", { class: best }, name)),
      element("dd", {}, element("div", { class: `bar${best}`, "aria-hidden": "true" }, bar), element("span", { class: `share${best}` }, percent(share))),
    );
  }
  return list;
}

async function explain(text, label, button, place) {
  if (place.firstChild) {
    place.replaceChildren();
    button.setAttribute("aria-expanded", "false");
    return;
  }
  button.disabled = true;
  await withAccess(async () => place.replaceChildren(explained(text, await ask("explain", { text, label }))), (problem) =>
    place.replaceChildren(element("p", { class: "problem", role: "alert" }, problem.message)),
  );
  button.disabled = false;
  button.setAttribute("aria-expanded", String(Boolean(place.firstChild)));
}

function explained(text, { label, method, words }) {
  const characters = Array.from(text); // positions are those of code points
  const strongest = Math.max(...words.map(({ weight }) => Math.abs(weight)), Number.MIN_VALUE);
  const line = element("p", { class: "words", dir: "auto" });
  let end = 0;
  for (const word of words) {
    line.append(characters.slice(end, word.start).join(""));
    line.append(weighted(word, word.weight / strongest));
    end = word.end;
  }
  line.append(characters.slice(end).join(""));
  const key = element(
    "p", { class: "key quiet" },
    "Speaks ", element("span", { class: "for" }, `for ${label}`), " or ", element("span", { class: "against" }, "against it"),
    `. Method: ${method}, the label's log-odds with the word, minus those without it.`,
  );
  const first = [...words].sort((one, other) => Math.abs(other.weight) - Math.abs(one.weight)).slice(0, LISTED);
  const listed = element("p", { class: "strongest quiet" }, first.map(({ text, weight }) => `${text} ${signed(weight)}`).join(" · "));
  return element("div", { class: "explanation" }, line, listed, key);
}

/** Words with less than a tenth of the strongest weight have no colour. */
function weighted({ text, weight }, share) {
  const side = Math.abs(share) < 0.1 ? "" : share > 0 ? "for" : "against";
  const shown = element("span", { class: side, title: signed(weight) }, text);
  shown.style.setProperty("--share", String(Math.abs(share)));
  return shown;
}

function showProblem(problem) {
  byId("problem").textContent = problem.message;
}

byId("form").onsubmit = async (event) => {
  event.preventDefault();
  byId("analyze").disabled = true;
  await withAccess(classify, showProblem);
  byId("analyze").disabled = false;
};
byId("texts").onkeydown = (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("form").requestSubmit();
};
await withAccess(showModel, showProblem);

/** A problem's message and the buttons that resolve it. */

import { button, make, redraw } from "../lib/elements.js";
import { WAYS_OUT } from "../lib/problems.js";

/**
 * @param {HTMLElement} section
 * @param {import("../lib/strings.js").Speaker} speak
 * @param {import("../lib/types.js").Trouble | null} trouble
 * @param {Record<string, () => unknown>} actions by way out
 */
export function showTrouble(section, { say }, trouble, actions) {
  section.dataset.kind = trouble?.kind ?? "";
  if (!trouble) return redraw(section);
  const name = trouble.kind.replaceAll("-", "_");
  const text = trouble.retryAfter ? say("again_in", trouble.retryAfter) : say(`problem_${name}_text`);
  const [first, ...others] = WAYS_OUT[trouble.kind].map((way) => button(say(`way_${way.replaceAll("-", "_")}`), actions[way]));
  first?.classList.add("primary");
  return redraw(
    section,
    make("h2", {}, say(`problem_${name}_title`)),
    make("p", {}, text),
    trouble.detail ? make("p", { class: "detail" }, say("server_said", trouble.detail)) : "",
    first ? make("p", { class: "ways" }, first, ...others) : "",
  );
}

/**
 * The card beside a badge or a selection: one text's sentiment, or the reason for having none. It is in a shadow root, which
 * isolates its styles from the page's, and inserts text only as text nodes.
 */

function cardStyle() {
  return `
    :host { all: initial; color-scheme: light dark; }
    #card {
      --ink: light-dark(#1b1f24, #e8eaed); --quiet: light-dark(#57606a, #a8b0b8); --line: light-dark(#d0d7de, #3d444d);
      --positive: light-dark(#0b5cad, #6cb4ff); --negative: light-dark(#b3470b, #ff9d5c); --neutral: light-dark(#5f6368, #b4bac1);
      position: absolute; inset: auto; margin: 0; box-sizing: border-box; width: 300px; padding: 14px 16px;
      font: 14px/1.45 -apple-system, "Segoe UI", Roboto, system-ui, sans-serif; color: var(--ink); background: light-dark(#fff, #22262b);
      border: 1px solid var(--line); border-radius: 12px; box-shadow: 0 8px 28px rgb(0 0 0 / 22%);
    }
    #card:focus { outline: none; }
    #card:focus-visible { outline: 2px solid var(--positive); outline-offset: 2px; }
    h2 { display: flex; align-items: baseline; gap: 8px; margin: 0 0 10px; font-size: 16px; font-weight: 600; }
    h2 .share { margin-left: auto; font-variant-numeric: tabular-nums; }
    .positive { color: var(--positive); } .negative { color: var(--negative); } .neutral { color: var(--neutral); }
    .row { display: grid; grid-template-columns: 74px 1fr 44px; gap: 8px; align-items: center; margin: 4px 0; font-size: 13px; }
    .row span:last-child { text-align: right; font-variant-numeric: tabular-nums; color: var(--quiet); }
    .track { height: 8px; border-radius: 4px; background: light-dark(#eaeef2, #333a41); overflow: hidden; }
    .bar { height: 100%; border-radius: 4px; background: currentColor; }
    p { margin: 8px 0 0; font-size: 13px; color: var(--quiet); overflow-wrap: anywhere; }
    fieldset { display: flex; flex-wrap: wrap; gap: 6px; margin: 12px 0 0; padding: 10px 0 0; border: 0; border-top: 1px solid var(--line); }
    legend { float: left; width: 100%; padding: 0; font-size: 13px; color: var(--quiet); }
    button {
      font: inherit; font-size: 13px; color: var(--ink); background: none; border: 1px solid var(--line); border-radius: 14px;
      padding: 3px 11px; cursor: pointer;
    }
    button:hover { background: light-dark(#f3f5f7, #2d333a); }
    button:focus-visible { outline: 2px solid var(--positive); outline-offset: 1px; }
    .ways { display: flex; gap: 6px; margin-top: 12px; }
  `;
}

/**
 * @param {string} tag
 * @param {string} className
 * @param {string} [text]
 */
function cardPart(tag, className, text = "") {
  const part = document.createElement(tag);
  part.className = className;
  part.textContent = text;
  return part;
}

/**
 * Open a card. The browser closes any open one, since it shows one auto popover at a time.
 *
 * @param {DOMRect} anchor
 * @param {string} name accessible name
 * @returns {HTMLElement} the empty card
 */
function openCard(anchor, name) {
  const before = /** @type {HTMLElement | null} */ (document.activeElement);
  const host = document.createElement("commentwise-card");
  const root = host.attachShadow({ mode: "open" });
  const style = new CSSStyleSheet();
  style.replaceSync(cardStyle());
  root.adoptedStyleSheets = [style];
  if (location.hostname === "www.youtube.com") {
    host.style.colorScheme = document.documentElement.hasAttribute("dark") ? "dark" : "light";
  }
  const card = cardPart("div", "");
  card.id = "card";
  card.popover = "auto";
  card.tabIndex = -1;
  card.setAttribute("role", "dialog");
  card.setAttribute("aria-label", name);
  card.setAttribute("aria-live", "polite");
  card.addEventListener("toggle", (event) => {
    if (/** @type {ToggleEvent} */ (event).newState !== "closed") return;
    const focused = document.activeElement;
    host.remove();
    if (focused === host || focused === document.body) before?.focus({ preventScroll: true });
  });
  root.append(card);
  document.body.append(host);
  card.showPopover();
  placeCard(card, anchor);
  card.focus({ preventScroll: true });
  return card;
}

/**
 * Place the card below its anchor, or above if there is more room; always within the viewport.
 *
 * @param {HTMLElement} card
 * @param {DOMRect} anchor
 */
function placeCard(card, anchor) {
  const { clientWidth, clientHeight } = document.documentElement;
  const room = 280; // height of the tallest card
  const left = Math.max(8, Math.min(anchor.left, clientWidth - 316));
  card.style.left = `${left + scrollX}px`;
  if (anchor.bottom + room > innerHeight && anchor.top > room) {
    card.style.bottom = `${clientHeight - scrollY - Math.min(anchor.top, innerHeight) + 8}px`;
  } else {
    card.style.top = `${Math.max(8, Math.min(anchor.bottom + 8, innerHeight - room)) + scrollY}px`;
  }
}

function closeCard() {
  document.querySelector("commentwise-card")?.remove();
}

/**
 * @param {HTMLElement} card
 * @param {Setup} setup
 * @param {{text: string, analysis: Analysis, about: About, milliseconds?: number}} shown
 */
function fillCard(card, setup, { text, analysis, about, milliseconds }) {
  const say = speech(setup);
  const { tone, sign } = look(analysis);
  const heading = cardPart("h2", tone);
  heading.append(cardPart("span", "", sign), cardPart("span", "", labelName(setup, analysis.sentiment)));
  if (analysis.unsure) heading.append(cardPart("span", "", `· ${say("unsure")}`));
  heading.append(cardPart("span", "share", percent(setup, analysis.confidence)));
  const rows = Object.entries(analysis.probabilities).map(([label, share]) => {
    const row = cardPart("div", "row");
    const track = cardPart("div", `track ${look({ ...analysis, sentiment: label }).tone}`);
    const bar = cardPart("div", "bar");
    bar.style.width = `${100 * share}%`;
    track.append(bar);
    row.append(cardPart("span", "", labelName(setup, label)), track, cardPart("span", "", percent(setup, share)));
    return row;
  });
  const notes = [];
  if (analysis.unsure) notes.push(cardPart("p", "", say("unsure_note")));
  if (analysis.truncated) notes.push(cardPart("p", "", say("truncated_note", analysis.tokens)));
  const time = milliseconds === undefined ? "" : ` · ${milliseconds ? say("milliseconds", milliseconds) : say("from_cache")}`;
  const model = cardPart("p", "", `${say("model", about.family, about.bundleId.slice(0, 8))}${time}`);
  card.replaceChildren(heading, ...rows, ...notes, model, corrections(setup, text, analysis, about));
}

/**
 * @param {Setup} setup
 * @param {string} text
 * @param {Analysis} analysis
 * @param {About} about
 */
function corrections(setup, text, analysis, about) {
  const say = speech(setup);
  const group = document.createElement("fieldset");
  group.append(cardPart("legend", "", say("wrong_label")));
  for (const label of Object.keys(analysis.probabilities).filter((name) => name !== analysis.sentiment)) {
    const button = cardPart("button", "", labelName(setup, label));
    button.setAttribute("aria-label", say("correct_to", labelName(setup, label)));
    button.addEventListener("click", async (event) => {
      if (!event.isTrusted) return; // the page's scripts can click, but only the user may correct
      const corrected = { type: "correct", text, label, predicted: analysis.sentiment, bundleId: about.bundleId };
      const outcome = await chrome.runtime.sendMessage(corrected);
      group.replaceChildren(cardPart("legend", "", say(`correction_${outcome}`, labelName(setup, label))));
    });
    group.append(button);
  }
  return group;
}

/**
 * @param {HTMLElement} card
 * @param {Setup} setup
 * @param {Trouble} trouble
 * @param {Record<string, () => void>} ways actions available here, by name
 */
function explainInCard(card, setup, trouble, ways) {
  const say = speech(setup);
  const heading = cardPart("h2", "", say(`problem_${trouble.kind}_title`.replaceAll("-", "_")));
  const words = trouble.retryAfter ? say("again_in", trouble.retryAfter) : say(`problem_${trouble.kind}_text`.replaceAll("-", "_"));
  const text = cardPart("p", "", words);
  const detail = trouble.detail ? [cardPart("p", "", say("server_said", trouble.detail))] : [];
  const buttons = cardPart("div", "ways");
  for (const way of setup.waysOut[trouble.kind] ?? []) {
    if (!ways[way]) continue;
    const button = cardPart("button", "", say(`way_${way}`.replaceAll("-", "_")));
    button.addEventListener("click", ways[way]);
    buttons.append(button);
  }
  card.replaceChildren(heading, text, ...detail, buttons);
}

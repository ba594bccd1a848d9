/**
 * The bar above the comments: filter, sort order, and the current problem.
 *
 * @typedef {object} ToolbarState
 * @property {string[]} labels
 * @property {Map<string, CommentRecord>} records
 * @property {Arrangement} arrangement
 * @property {Trouble | null} trouble
 * @property {Record<string, () => void>} ways actions that resolve a problem, by name
 * @property {() => void} changed called when the user changes the arrangement
 */

/**
 * Insert the bar above the comments, if necessary, and update it.
 *
 * @param {Setup} setup
 * @param {ToolbarState} state
 */
function showToolbar(setup, state) {
  const list = commentsRoot()?.querySelector(SELECTORS.list);
  if (!list) return;
  let bar = /** @type {HTMLElement | null} */ (document.querySelector(".commentwise-toolbar"));
  if (!bar || bar.nextElementSibling !== list) {
    bar?.remove();
    bar = makeBar(setup, state);
    list.before(bar);
  }
  const [controls, status] = /** @type {HTMLCollectionOf<HTMLElement>} */ (bar.children);
  controls.hidden = !setup.shown.toolbar;
  showChips(/** @type {HTMLElement} */ (controls.firstElementChild), setup, state);
  showTrouble(status, setup, state);
}

/**
 * @param {Setup} setup
 * @param {ToolbarState} state
 */
function makeBar(setup, { arrangement, changed }) {
  const say = speech(setup);
  const bar = document.createElement("div");
  bar.className = "commentwise-toolbar";
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", say("toolbar"));
  const controls = document.createElement("div");
  controls.className = "commentwise-controls";
  const chips = document.createElement("div");
  chips.className = "commentwise-chips";
  const order = document.createElement("select");
  order.className = "commentwise-order";
  order.setAttribute("aria-label", say("sort"));
  for (const sort of ["", "positive", "negative", "unsure"]) order.add(new Option(say(`sort_${sort || "none"}`), sort));
  order.value = arrangement.sort;
  order.addEventListener("change", () => {
    arrangement.sort = order.value;
    changed();
  });
  const status = document.createElement("div");
  status.className = "commentwise-status";
  status.setAttribute("role", "status");
  controls.append(chips, order);
  bar.append(controls, status);
  return bar;
}

/**
 * @param {HTMLElement} place
 * @param {Setup} setup
 * @param {ToolbarState} state
 */
function showChips(place, setup, { labels, records, arrangement, changed }) {
  const say = speech(setup);
  const results = [...records.values()].map(({ result }) => result).filter((result) => result !== null && "sentiment" in result);
  const numbers = new Intl.NumberFormat(setup.language);
  const chips = [
    { filter: "", name: say("filter_all"), count: results.length },
    ...labels.map((label) => ({ filter: label, name: labelName(setup, label), count: results.filter(({ sentiment }) => sentiment === label).length })),
    { filter: "unsure", name: say("unsure"), count: results.filter(({ unsure }) => unsure).length },
  ];
  const known = JSON.stringify(labels);
  if (place.dataset.labels !== known) {
    place.dataset.labels = known;
    place.replaceChildren(...chips.map(({ filter }) => makeChip(filter, arrangement, changed)));
  }
  // The counts grow while the user is choosing, so the chips stay and only their text changes.
  chips.forEach(({ filter, name, count }, index) => {
    const chip = place.children[index];
    chip.textContent = `${name} ${numbers.format(count)}`;
    chip.setAttribute("aria-pressed", String(filter === arrangement.filter));
  });
}

/**
 * @param {string} filter
 * @param {Arrangement} arrangement
 * @param {() => void} changed
 */
function makeChip(filter, arrangement, changed) {
  const chip = document.createElement("button");
  chip.type = "button";
  chip.className = "commentwise-chip";
  chip.addEventListener("click", () => {
    arrangement.filter = filter;
    changed();
  });
  return chip;
}

/**
 * @param {HTMLElement} status
 * @param {Setup} setup
 * @param {ToolbarState} state
 */
function showTrouble(status, setup, { trouble, ways }) {
  const state = JSON.stringify([setup.language, trouble]);
  if (status.dataset.state === state) return;
  status.dataset.state = state;
  if (!trouble) return status.replaceChildren();
  const say = speech(setup);
  const name = trouble.kind.replaceAll("-", "_");
  const title = document.createElement("strong");
  title.textContent = say(`problem_${name}_title`);
  const text = document.createElement("span");
  text.textContent = trouble.retryAfter ? say("again_in", trouble.retryAfter) : say(`problem_${name}_text`);
  const buttons = (setup.waysOut[trouble.kind] ?? []).filter((way) => ways[way]).map((way) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "commentwise-chip";
    button.textContent = say(`way_${way}`.replaceAll("-", "_"));
    button.addEventListener("click", ways[way]);
    return button;
  });
  return status.replaceChildren(title, text, ...buttons);
}

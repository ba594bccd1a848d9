/**
 * The bar above the comments: filter, order, and what is the matter.
 *
 * @typedef {object} ToolbarState
 * @property {string[]} labels
 * @property {Map<string, CommentRecord>} records
 * @property {Arrangement} arrangement
 * @property {Trouble | null} trouble
 * @property {Record<string, () => void>} ways out of trouble
 * @property {() => void} changed told when the user changed the arrangement
 */

/**
 * Put the bar where it belongs and bring it up to date.
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
    bar = document.createElement("div");
    bar.className = "commentwise-toolbar";
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", speech(setup)("toolbar"));
    const status = document.createElement("div");
    status.className = "commentwise-status";
    status.setAttribute("role", "status");
    bar.append(document.createElement("div"), status);
    list.before(bar);
  }
  const [controls, status] = /** @type {HTMLCollectionOf<HTMLElement>} */ (bar.children);
  showControls(controls, setup, state);
  showTrouble(status, setup, state);
}

/**
 * @param {HTMLElement} controls
 * @param {Setup} setup
 * @param {ToolbarState} state
 */
function showControls(controls, setup, { labels, records, arrangement, changed }) {
  const say = speech(setup);
  const results = [...records.values()].map(({ result }) => result).filter((result) => result !== null && "sentiment" in result);
  const chips = [
    ["", say("filter_all"), results.length],
    ...labels.map((label) => [label, labelName(setup, label), results.filter(({ sentiment }) => sentiment === label).length]),
    ["unsure", say("unsure"), results.filter(({ unsure }) => unsure).length],
  ];
  const state = JSON.stringify([setup.language, setup.shown.toolbar, chips, arrangement]);
  if (controls.dataset.state === state) return;
  controls.dataset.state = state;
  controls.className = "commentwise-controls";
  controls.hidden = !setup.shown.toolbar;
  const focused = controls.contains(document.activeElement) ? document.activeElement?.getAttribute("data-filter") : null;
  const buttons = chips.map(([filter, name, count]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "commentwise-chip";
    button.dataset.filter = String(filter);
    button.textContent = `${name} ${new Intl.NumberFormat(setup.language).format(Number(count))}`;
    button.setAttribute("aria-pressed", String(filter === arrangement.filter));
    button.addEventListener("click", () => {
      arrangement.filter = String(filter);
      changed();
    });
    return button;
  });
  const order = document.createElement("select");
  order.className = "commentwise-order";
  order.setAttribute("aria-label", say("sort"));
  for (const sort of ["", "positive", "negative", "unsure"]) order.add(new Option(say(`sort_${sort || "none"}`), sort));
  order.value = arrangement.sort;
  order.addEventListener("change", () => {
    arrangement.sort = order.value;
    changed();
  });
  controls.replaceChildren(...buttons, order);
  // The counts grow while somebody may be choosing with the keyboard.
  if (focused !== null) buttons.find(({ dataset }) => dataset.filter === focused)?.focus({ preventScroll: true });
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

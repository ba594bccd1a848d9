/**
 * Filtering and sorting by sentiment. YouTube tracks the order of its nodes, so they are not moved: a flex container
 * displays them in another order, which screen readers follow too (reading-flow).
 *
 * @typedef {{filter: string, sort: string}} Arrangement filter: a label, "unsure", or "" for all; sort: "", "positive",
 *   "negative" or "unsure"
 */

/**
 * @param {CommentRecord | undefined} record
 * @param {string} filter
 */
function passes(record, filter) {
  if (!filter) return true;
  if (!record?.result || !("sentiment" in record.result)) return false;
  return filter === "unsure" ? record.result.unsure : record.result.sentiment === filter;
}

/**
 * @param {CommentRecord | undefined} record
 * @param {string} sort
 * @returns {number} sort key, ascending; comments without a sentiment come last
 */
function rank(record, sort) {
  if (!record?.result || !("sentiment" in record.result)) return 1_000_000;
  const { probabilities, confidence } = record.result;
  const { negative, positive } = labelEnds(Object.keys(probabilities));
  const score = (probabilities[positive] ?? 0) - (probabilities[negative] ?? 0);
  return Math.round(100_000 * (sort === "unsure" ? confidence : sort === "positive" ? -score : score));
}

/**
 * @param {Map<string, CommentRecord>} records
 * @param {Arrangement} arrangement
 * @param {AbortSignal} signal
 */
async function arrange(records, { filter, sort }, signal) {
  const list = commentsRoot()?.querySelector(SELECTORS.list);
  if (!list) return;
  list.toggleAttribute("data-commentwise-sorted", sort !== "");
  const threads = [...list.children].filter((child) => child.matches(SELECTORS.thread));
  await inSlices(/** @type {HTMLElement[]} */ (threads), signal, (thread) => {
    const comments = [...thread.querySelectorAll(SELECTORS.comment)];
    const found = comments.map((comment) => records.get(commentId(comment) ?? ""));
    const matching = found.map((record) => passes(record, filter));
    const matches = matching.includes(true);
    thread.toggleAttribute("data-commentwise-filtered", !matches);
    // The parent of a matching reply stays visible, dimmed, as context.
    comments.forEach((comment, index) => {
      comment.toggleAttribute("data-commentwise-context", matches && index === 0 && !matching[0]);
      comment.toggleAttribute("data-commentwise-filtered", index > 0 && !matching[index]);
    });
    if (sort) thread.style.order = String(rank(found[0], sort));
    else thread.style.removeProperty("order");
  });
}

/** Restore YouTube's own order and show all comments. */
function disarrange() {
  for (const thread of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(SELECTORS.thread))) {
    thread.style.removeProperty("order");
  }
  for (const name of ["data-commentwise-sorted", "data-commentwise-filtered", "data-commentwise-context"]) {
    for (const element of document.querySelectorAll(`[${name}]`)) element.removeAttribute(name);
  }
}

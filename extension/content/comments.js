/**
 * Read the id from YouTube's comment element.
 *
 * @param {Element} element
 * @param {string | null} [video] the video that the comment must belong to; comments of the previous video stay for a while
 * @returns {string | null} the comment's id, or null if it has none or belongs to another video
 */
function commentId(element, video = null) {
  const href = element.querySelector(SELECTORS.link)?.getAttribute("href");
  if (!href) return null;
  const { pathname, searchParams } = new URL(href, location.origin);
  const from = searchParams.get("v") ?? /^\/(?:shorts|live)\/([\w-]+)/.exec(pathname)?.[1];
  return video && from && from !== video ? null : searchParams.get("lc");
}

/**
 * @param {Element} element
 * @returns {string | null} the comment's text, including emoji (which are images); null if it has none
 */
function commentText(element) {
  const content = element.querySelector(SELECTORS.text);
  if (!content) return null;
  let text = "";
  const walker = document.createTreeWalker(content, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node instanceof Text) text += node.data;
    else if (node instanceof HTMLImageElement) text += node.alt;
    else if (node instanceof HTMLBRElement) text += "\n";
  }
  return text.trim() || null;
}

/**
 * @param {Element} element
 * @param {string} id
 */
function isReply(element, id) {
  return id.includes(".") || element.closest(SELECTORS.replies) !== null;
}

/**
 * @param {MutationRecord[]} mutations
 * @returns {Set<HTMLElement>} the comments affected by the mutations
 */
function touchedComments(mutations) {
  const touched = new Set();
  for (const { target, addedNodes, type } of mutations) {
    const element = target instanceof Element ? target : target.parentElement;
    const comment = element?.closest(SELECTORS.comment);
    if (comment) touched.add(comment);
    else if (type === "attributes") element?.querySelectorAll(SELECTORS.comment).forEach((found) => touched.add(found));
    for (const node of addedNodes) {
      if (!(node instanceof HTMLElement)) continue;
      if (node.matches(SELECTORS.comment)) touched.add(node);
      else if (node.firstElementChild) node.querySelectorAll(SELECTORS.comment).forEach((found) => touched.add(found));
    }
  }
  return touched;
}

/**
 * Process many items in slices of a few milliseconds, so that the page stays responsive.
 *
 * @template T
 * @param {Iterable<T>} items
 * @param {AbortSignal} signal
 * @param {(item: T) => void} work
 */
async function inSlices(items, signal, work) {
  const sliceMs = 8;
  let end = performance.now() + sliceMs;
  for (const item of items) {
    if (signal.aborted) return;
    work(item);
    if (performance.now() < end) continue;
    await scheduler.yield();
    end = performance.now() + sliceMs;
  }
}

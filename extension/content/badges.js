/**
 * The badge beside a comment's date, and the placeholder for a comment whose label the user hides.
 */

/**
 * @param {HTMLElement} element the comment's element
 * @param {CommentRecord & {result: Analysis}} record
 * @param {Setup} setup
 * @param {(badge: HTMLElement) => void} open opens the details
 * @param {() => void} reveal shows the hidden comment
 */
function paintBadge(element, record, setup, open, reveal) {
  const { shown } = setup;
  const say = speech(setup);
  const veiled = shown.hide.includes(record.result.sentiment) && !record.revealed;
  if (!shown.badges && !veiled) return clearBadge(element);
  const { tone, sign } = look(record.result);
  const name = labelName(setup, record.result.sentiment);
  const share = percent(setup, record.result.confidence);
  const words = veiled ? say("veiled", name) : say(record.result.unsure ? "badge_unsure" : "badge", name, share);
  const state = `${record.id} ${tone} ${words}`;
  const existing = /** @type {HTMLElement | null} */ (element.querySelector(".commentwise-badge"));
  if (existing?.dataset.state === state) return;
  existing?.remove();
  const badge = document.createElement("button");
  badge.type = "button";
  badge.className = `commentwise-badge commentwise-${tone}${record.result.unsure ? " commentwise-unsure" : ""}`;
  badge.dataset.state = state;
  badge.textContent = veiled ? `${sign} ${words} · ${say("show")}` : `${sign} ${share}`;
  badge.title = words;
  badge.setAttribute("aria-label", veiled ? `${words}. ${say("show")}` : words);
  badge.addEventListener("click", (event) => {
    event.stopPropagation(); // otherwise YouTube handles it as a click on the comment
    if (veiled) reveal();
    else open(badge);
  });
  element.toggleAttribute("data-commentwise-veiled", veiled);
  const place = element.querySelector(SELECTORS.badgePlace);
  if (place) place.after(badge);
  else element.querySelector(SELECTORS.text)?.before(badge);
}

/** @param {Element} element the comment's element */
function clearBadge(element) {
  element.querySelector(".commentwise-badge")?.remove();
  element.removeAttribute("data-commentwise-veiled");
}

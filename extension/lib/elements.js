/** Elements of the extension's own pages. Texts become text nodes, whatever they hold. */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {{class?: string, [attribute: string]: string | number | undefined}} [attributes]
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(name, String(value));
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function byId(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`this page has no ${type.name} #${id}`);
  return element;
}

/**
 * Show something else in a place. A button that has the keyboard's focus hands it on to its successor.
 *
 * @param {HTMLElement} place
 * @param {...(Node | string)} children
 */
export function redraw(place, ...children) {
  const focused = document.activeElement;
  const name = focused && place.contains(focused) ? focused.getAttribute("data-name") : null;
  place.replaceChildren(...children);
  if (name !== null) [...place.querySelectorAll("button")].find(({ dataset }) => dataset.name === name)?.focus({ preventScroll: true });
}

/**
 * @param {string} text of the button
 * @param {() => unknown} act
 * @param {string} [className]
 */
export function button(text, act, className = "") {
  const element = make("button", { type: "button", class: className, "data-name": text }, text);
  element.addEventListener("click", act);
  return element;
}

/** Elements of the extension's own pages. Strings always become text nodes, never HTML. */

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
 * Replace an element's children. If a button had the keyboard focus, the new button of the same name gets it.
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
 * @param {string} text the button's text
 * @param {() => unknown} act
 * @param {string} [className]
 */
export function button(text, act, className = "") {
  const element = make("button", { type: "button", class: className, "data-name": text }, text);
  element.addEventListener("click", act);
  return element;
}

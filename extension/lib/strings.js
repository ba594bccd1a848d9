/** Messages in the language that the user chose; chrome.i18n supports only the browser's own language. */

export const LANGUAGES = { en: "English", de: "Deutsch" };

/** @typedef {Record<string, string>} Strings */

/**
 * @param {string} chosen language; empty: the browser's
 * @returns {string} an available language
 */
export function languageFor(chosen) {
  const wanted = chosen || chrome.i18n.getUILanguage().split("-")[0];
  return wanted in LANGUAGES ? wanted : "en";
}

/**
 * @param {string} language
 * @returns {Promise<Strings>}
 */
export async function loadStrings(language) {
  const response = await fetch(chrome.runtime.getURL(`_locales/${language}/messages.json`));
  const entries = Object.entries(/** @type {Record<string, {message: string}>} */ (await response.json()));
  return Object.fromEntries(entries.map(([key, { message }]) => [key, message]));
}

/**
 * @param {Strings} strings
 * @param {string} language
 */
export function speaker(strings, language) {
  const plurals = new Intl.PluralRules(language);
  const numbers = new Intl.NumberFormat(language);
  const percents = new Intl.NumberFormat(language, { style: "percent" });

  /**
   * @param {string} key
   * @param {...(string | number)} inserted for $1, $2 and so on
   */
  const say = (key, ...inserted) => {
    const values = inserted.map((value) => (typeof value === "number" ? numbers.format(value) : value));
    return (strings[key] ?? key).replace(/\$(\d)/g, (_, index) => values[index - 1] ?? "");
  };
  return {
    say,
    /** @param {string} key @param {number} count @param {...(string | number)} inserted */
    count: (key, count, ...inserted) => say(`${key}_${plurals.select(count) === "one" ? "one" : "other"}`, count, ...inserted),
    /** @param {number} share */
    percent: (share) => percents.format(share),
    /** @param {string} label */
    label: (label) => strings[`label_${label}`] ?? label,
  };
}

/** @typedef {ReturnType<typeof speaker>} Speaker */

/**
 * Fill in a page's texts.
 *
 * @param {ParentNode} root
 * @param {Speaker} speaker
 */
export function translate(root, { say }) {
  for (const element of root.querySelectorAll("[data-say]")) element.textContent = say(element.getAttribute("data-say") ?? "");
  for (const attribute of ["aria-label", "placeholder", "title"]) {
    for (const element of root.querySelectorAll(`[data-${attribute}]`)) {
      element.setAttribute(attribute, say(element.getAttribute(`data-${attribute}`) ?? ""));
    }
  }
}

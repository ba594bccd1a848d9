/**
 * How a label looks and reads. This file, card.js and asking.js may be injected into a page twice, so they only declare
 * functions.
 */

/**
 * @param {Setup} setup
 * @returns {(key: string, ...inserted: (string | number)[]) => string} looks up a message in the user's language
 */
function speech({ strings, language }) {
  const numbers = new Intl.NumberFormat(language);
  return (key, ...inserted) => {
    const values = inserted.map((value) => (typeof value === "number" ? numbers.format(value) : value));
    return (strings[key] ?? key).replace(/\$(\d)/g, (_, index) => values[index - 1] ?? "");
  };
}

/**
 * @param {Setup} setup
 * @param {string} label
 */
function labelName({ strings }, label) {
  return strings[`label_${label}`] ?? label;
}

/**
 * @param {Setup} setup
 * @param {number} share
 */
function percent({ language }, share) {
  return new Intl.NumberFormat(language, { style: "percent" }).format(share);
}

/**
 * @param {string[]} labels
 * @returns {{negative: string, positive: string}} the two ends of the scale: by name, otherwise the first and the last label
 */
function labelEnds(labels) {
  const named = (/** @type {string} */ name) => labels.find((label) => label.toLowerCase() === name);
  return { negative: named("negative") ?? labels[0], positive: named("positive") ?? labels[labels.length - 1] };
}

/**
 * Each tone has its own shape, so that it can be recognised without colour.
 *
 * @param {Analysis} analysis
 * @returns {{tone: string, sign: string}}
 */
function look({ sentiment, probabilities, unsure }) {
  const { negative, positive } = labelEnds(Object.keys(probabilities));
  const tone = sentiment === positive ? "positive" : sentiment === negative ? "negative" : "neutral";
  return { tone, sign: unsure ? "?" : { positive: "▲", negative: "▼", neutral: "●" }[tone] };
}

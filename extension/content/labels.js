/**
 * How a label looks and sounds. This file, card.js and asking.js may come into a page twice, so they only declare
 * functions.
 */

/**
 * @param {Setup} setup
 * @returns {(key: string, ...inserted: (string | number)[]) => string} what says things in the user's language
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
 * @returns {{negative: string, positive: string}} the two ends: by name, else the first and the last label
 */
function labelEnds(labels) {
  const named = (/** @type {string} */ name) => labels.find((label) => label.toLowerCase() === name);
  return { negative: named("negative") ?? labels[0], positive: named("positive") ?? labels[labels.length - 1] };
}

/**
 * Colour is never alone: each tone has a shape of its own.
 *
 * @param {Analysis} analysis
 * @returns {{tone: string, sign: string}}
 */
function look({ sentiment, probabilities, unsure }) {
  const { negative, positive } = labelEnds(Object.keys(probabilities));
  const tone = sentiment === positive ? "positive" : sentiment === negative ? "negative" : "neutral";
  return { tone, sign: unsure ? "?" : { positive: "▲", negative: "▼", neutral: "●" }[tone] };
}

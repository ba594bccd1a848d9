/** Statistics of a video's comments. */

/** @typedef {import("./types.js").Comment} Comment */
/** @typedef {import("./types.js").Analysis} Analysis */
/** @typedef {Comment & {result: Analysis}} Classified */

const BINS = 20;

/**
 * @param {string[]} labels
 * @returns {{negative: string, positive: string}} the two ends of the scale: by name, otherwise the first and the last label
 */
export function poles(labels) {
  const named = (/** @type {string} */ name) => labels.find((label) => label.toLowerCase() === name);
  return { negative: named("negative") ?? labels[0], positive: named("positive") ?? labels[labels.length - 1] };
}

/**
 * @param {Analysis} analysis
 * @param {{negative: string, positive: string}} ends
 * @returns {number} from -1 to 1
 */
export function score({ probabilities }, { negative, positive }) {
  return (probabilities[positive] ?? 0) - (probabilities[negative] ?? 0);
}

/**
 * @param {Comment[]} comments
 * @returns {Classified[]} the comments that have a sentiment
 */
export function classified(comments) {
  return /** @type {Classified[]} */ (comments.filter(({ result }) => result && "sentiment" in result));
}

/**
 * @param {Classified[]} comments
 * @param {string[]} labels
 * @returns {Record<string, number>} the number of comments per label
 */
export function distribution(comments, labels) {
  const counts = Object.fromEntries(labels.map((label) => [label, 0]));
  for (const { result } of comments) counts[result.sentiment] = (counts[result.sentiment] ?? 0) + 1;
  return counts;
}

/**
 * @param {Classified[]} comments
 * @param {string[]} labels
 * @returns {{positive: Classified | null, negative: Classified | null}} the clearest comment at each end, unsure ones excluded
 */
export function extremes(comments, labels) {
  const ends = poles(labels);
  const scored = comments.filter(({ result }) => !result.unsure).map((comment) => ({ comment, value: score(comment.result, ends) }));
  const best = scored.reduce((max, next) => (next.value > max.value ? next : max), scored[0]);
  const worst = scored.reduce((min, next) => (next.value < min.value ? next : min), scored[0]);
  return {
    positive: best?.comment.result.sentiment === ends.positive ? best.comment : null,
    negative: worst?.comment.result.sentiment === ends.negative ? worst.comment : null,
  };
}

/**
 * @param {Classified[]} comments
 * @param {string[]} labels
 */
export function parentsAndReplies(comments, labels) {
  const side = (/** @type {boolean} */ reply) => {
    const chosen = comments.filter(({ isReply }) => isReply === reply);
    return { count: chosen.length, counts: distribution(chosen, labels) };
  };
  return { parents: side(false), replies: side(true) };
}

/**
 * @param {string} text
 * @param {number} [duration] of the video; later times are ignored. 0: unknown
 * @returns {number[]} the times mentioned as 1:23 or 1:02:03, in seconds, without repetitions
 */
export function timeStamps(text, duration = 0) {
  const found = new Set();
  for (const [, hours, minutes, seconds] of text.matchAll(/(?<![\d:.])(?:(\d{1,2}):)?(\d{1,2}):([0-5]\d)(?![\d:])/g)) {
    if (hours !== undefined && Number(minutes) > 59) continue;
    const at = Number(hours ?? 0) * 3600 + Number(minutes) * 60 + Number(seconds);
    if (!duration || at <= duration) found.add(at);
  }
  return [...found];
}

/**
 * @param {Classified[]} comments
 * @param {string[]} labels
 * @param {number} duration
 * @returns {{start: number, end: number, first: number, counts: Record<string, number>, count: number}[]} parts of the
 *   video of equal length, each with the earliest time quoted in it; empty if no comment quotes a time
 */
export function overTime(comments, labels, duration) {
  const quoted = comments.flatMap((comment) => timeStamps(comment.text, duration).map((at) => ({ at, comment })));
  if (!quoted.length) return [];
  const end = Math.max(duration, ...quoted.map(({ at }) => at), 1);
  return Array.from({ length: BINS }, (_, index) => {
    const start = (end * index) / BINS;
    const until = (end * (index + 1)) / BINS;
    const chosen = quoted.filter(({ at }) => at >= start && (at < until || (index === BINS - 1 && at <= until)));
    return {
      start,
      end: until,
      first: Math.min(...chosen.map(({ at }) => at)),
      counts: distribution(chosen.map(({ comment }) => comment), labels),
      count: chosen.length,
    };
  });
}

/**
 * @param {number} seconds
 * @returns {string} as YouTube writes it: 1:23 or 1:02:03
 */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (!parts[0]) parts.shift();
  return parts.map((part, index) => (index ? String(part).padStart(2, "0") : String(part))).join(":");
}

/**
 * @param {string} total as YouTube writes it: "1,873 Comments", "1.873 Kommentare", "1.2K Comments"
 * @returns {number | null} null if it is abbreviated or not a number
 */
export function totalNumber(total) {
  const found = /^\s*(\d{1,3}(?:[.,\s\u00a0\u202f'’]?\d{3})*)(?![\d.,]|\s?(?:[KMB]|Mio|Mrd|Tsd|mil)\b)/i.exec(total);
  return found ? Number(found[1].replace(/\D/g, "")) : null;
}

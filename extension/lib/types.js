/**
 * What goes between the parts of the extension.
 *
 * @typedef {object} Analysis one comment's sentiment, as the server gives it
 * @property {string} sentiment the most probable label
 * @property {number} confidence its calibrated probability
 * @property {Record<string, number>} probabilities
 * @property {boolean} unsure
 * @property {number} tokens
 * @property {boolean} truncated
 *
 * @typedef {{error: string}} Unanswered why one comment of many got no sentiment
 *
 * @typedef {object} About what the server says of itself
 * @property {string} bundleId
 * @property {string[]} labels
 * @property {number} maxTexts most texts in one request
 * @property {string} version
 * @property {string} family
 *
 * @typedef {object} Answer
 * @property {(Analysis | Unanswered)[]} results in the order of the texts
 * @property {About} about
 * @property {number} milliseconds from asking to the last answer; 0 where all were known
 *
 * @typedef {object} Correction what the user says a text's label should have been
 * @property {string} id
 * @property {string} text
 * @property {string} label
 * @property {string} predicted
 * @property {string} bundle_id
 * @property {string} at ISO 8601
 * @property {boolean} sent whether the server has stored it
 * @property {boolean} refused whether the server said that it will not
 *
 * @typedef {object} Comment a comment on the page
 * @property {string} id
 * @property {string} text
 * @property {boolean} isReply
 * @property {Analysis | Unanswered | null} result
 *
 * @typedef {{kind: string, detail?: string, retryAfter?: number}} Trouble a problem on its way to another context
 *
 * @typedef {object} Snapshot what the page knows, for the popup
 * @property {string | null} videoId
 * @property {string} title
 * @property {string} channel handle (@name) or id (UC…) of the video's channel; empty where the page names none
 * @property {number} duration of the video, in seconds; 0 where unknown
 * @property {string} total how many comments YouTube says there are, as it says it
 * @property {Comment[]} comments
 * @property {About | null} about
 * @property {number} milliseconds of the last answer
 * @property {Trouble | null} trouble
 * @property {Record<string, number>} selectors how many elements each selector matches
 */
export {};

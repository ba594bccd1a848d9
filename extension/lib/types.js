/**
 * Types of the data exchanged between the parts of the extension.
 *
 * @typedef {object} Analysis one comment's sentiment, as returned by the server
 * @property {string} sentiment the most probable label
 * @property {number} confidence its calibrated probability
 * @property {Record<string, number>} probabilities
 * @property {boolean} unsure
 * @property {number} tokens
 * @property {boolean} truncated
 *
 * @typedef {{error: string}} Unanswered the reason why one of several comments got no sentiment
 *
 * @typedef {object} About the server's description of itself
 * @property {string} bundleId
 * @property {string[]} labels
 * @property {number} maxTexts maximum number of texts in one request
 * @property {string} version
 * @property {string} family
 *
 * @typedef {object} Answer
 * @property {(Analysis | Unanswered)[]} results in the order of the texts
 * @property {About} about
 * @property {number} milliseconds from the request to the last answer; 0 if all were cached
 *
 * @typedef {object} Correction a label corrected by the user
 * @property {string} id
 * @property {string} text
 * @property {string} label
 * @property {string} predicted
 * @property {string} bundle_id
 * @property {string} at ISO 8601
 * @property {boolean} sent true if the server has stored it
 * @property {boolean} refused true if the server has rejected it
 *
 * @typedef {object} Comment a comment on the page
 * @property {string} id
 * @property {string} text
 * @property {boolean} isReply
 * @property {Analysis | Unanswered | null} result
 *
 * @typedef {{kind: string, detail?: string, retryAfter?: number}} Trouble a problem as sent to another context
 *
 * @typedef {object} Snapshot the page's state, for the popup
 * @property {string | null} videoId
 * @property {string} title
 * @property {string} channel handle (@name) or id (UC…) of the video's channel; empty if the page names none
 * @property {number} duration of the video, in seconds; 0 if unknown
 * @property {string} total number of comments, as displayed by YouTube
 * @property {Comment[]} comments
 * @property {About | null} about
 * @property {number} milliseconds of the last answer
 * @property {Trouble | null} trouble
 * @property {Record<string, number>} selectors number of elements each selector matches
 */
export {};

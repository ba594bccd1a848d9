/**
 * Selectors for YouTube's pages, newest layout first. Everything that depends on the layout is in this file.
 */
const SELECTORS = {
  comment: "ytd-comment-view-model, ytd-comment-renderer",
  text: "yt-attributed-string#content-text, yt-formatted-string#content-text, #content-text",
  link: "#published-time-text a[href*='lc='], .published-time-text a[href*='lc=']",
  badgePlace: "#published-time-text, .published-time-text",
  thread: "ytd-comment-thread-renderer",
  replies: "yt-sub-thread, ytd-comment-replies-renderer",
  root: "ytd-comments#comments, ytd-engagement-panel-section-list-renderer[target-id='engagement-panel-comments-section']",
  list: "ytd-item-section-renderer > #contents",
  more: "ytd-continuation-item-renderer",
  message: "ytd-message-renderer",
  total: "ytd-comments-header-renderer #count, ytd-engagement-panel-title-header-renderer #contextual-info",
  owner: "ytd-video-owner-renderer, yt-reel-channel-bar-view-model, ytd-reel-player-header-renderer",
  channel: "a[href^='/@'], a[href^='/channel/UC']",
  playing: "ytd-reel-video-renderer[is-active]",
  title: "ytd-watch-metadata h1, yt-shorts-video-title-view-model h2, h1.title",
  video: "video.html5-main-video, video",
};

/** @returns {string | null} the id of this page's video */
function videoId() {
  const { pathname, searchParams } = new URL(location.href);
  if (pathname === "/watch") return searchParams.get("v");
  return /^\/(?:shorts|live)\/([\w-]+)/.exec(pathname)?.[1] ?? null;
}

/** @returns {HTMLElement | null} the container of the comments: below the video, or in the panel beside a Short */
function commentsRoot() {
  const roots = [.../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(SELECTORS.root))];
  const shown = roots.filter((root) => !root.closest("[hidden]"));
  return shown.find((root) => root.querySelector(SELECTORS.comment)) ?? shown[0] ?? null;
}

/**
 * YouTube keeps pages that were left as hidden elements, and preloads the previous and the next Short.
 *
 * @param {string} selector
 * @returns {Element[]} the elements that belong to the current video
 */
function shownNow(selector) {
  const found = [...document.querySelectorAll(selector)].filter((element) => !element.closest("[hidden]"));
  const playing = found.filter((element) => element.closest(SELECTORS.playing));
  return playing.length ? playing : found;
}

/** @returns {string[]} the video's channel as named by the page: its handle (@name), its id (UC…), both or neither */
function channelNames() {
  const links = shownNow(SELECTORS.owner).flatMap((owner) => [...owner.querySelectorAll(SELECTORS.channel)]);
  const names = links.map((link) => /^\/(?:channel\/)?([^/?#]+)/.exec(decodeURIComponent(link.getAttribute("href") ?? ""))?.[1] ?? "");
  return [...new Set(names)];
}

/** @returns {Record<string, number>} the number of elements each selector matches, for diagnostics */
function selectorCounts() {
  return Object.fromEntries(Object.entries(SELECTORS).map(([name, selector]) => [name, document.querySelectorAll(selector).length]));
}

/** @returns {string} the reason why no comment could be read here */
function whyNoComments() {
  const root = commentsRoot();
  if (!root) return "none-loaded";
  const comments = [...root.querySelectorAll(SELECTORS.comment)];
  if (comments.length) return comments.some((one) => commentId(one) && commentText(one)) ? "none-loaded" : "selectors-broken";
  const list = root.querySelector(SELECTORS.list);
  const disabled = root.querySelector(SELECTORS.message);
  if (disabled && !disabled.closest("[hidden]")) return "comments-disabled";
  const items = [...(list?.children ?? [])].filter((item) => !item.matches(SELECTORS.more));
  return items.length ? "selectors-broken" : "none-loaded";
}

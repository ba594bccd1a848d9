/** The comments of a video: read as they load, classified in few requests, marked in place. */
(() => {
  /** Comments load in groups; those that appear within this time are sent together. */
  const FIRST_MS = 150;
  const NEXT_MS = 1500;

  /** @type {Setup} */
  let setup;
  /** State of the current video: YouTube changes videos without reloading the page. */
  let visit = startVisit(null);
  /** The comment that an element shows: YouTube reuses elements for other comments. @type {WeakMap<HTMLElement, CommentRecord>} */
  const shownBy = new WeakMap();
  const observer = new MutationObserver((mutations) => inspect(touchedComments(mutations)));

  /** @param {string | null} video */
  function startVisit(video) {
    return {
      video,
      left: new AbortController(),
      /** @type {Map<string, CommentRecord>} */
      records: new Map(),
      /** @type {Set<string>} ids of the comments to classify */
      queue: new Set(),
      /** @type {Set<HTMLElement>} */
      touched: new Set(),
      inspecting: false,
      /** Aborts the running request. @type {AbortController | null} */
      request: null,
      answeredAt: 0,
      /** @type {number | undefined} */
      timer: undefined,
      /** @type {About | null} */
      about: null,
      milliseconds: 0,
      /** @type {Trouble | null} */
      trouble: null,
      /** @type {Arrangement} */
      arrangement: { filter: "", sort: "" },
      changed: false,
    };
  }

  function leave() {
    visit.left.abort();
    clearTimeout(visit.timer);
    observer.disconnect();
    document.querySelector(".commentwise-toolbar")?.remove();
    document.querySelectorAll(".commentwise-badge").forEach((badge) => badge.remove());
    document.querySelectorAll("[data-commentwise-veiled]").forEach((element) => element.removeAttribute("data-commentwise-veiled"));
    disarrange();
    closeCard();
    visit = startVisit(null);
  }

  /** @returns {string | null} the reason why comments are not classified here, if any */
  function whyNot() {
    if (!setup.shown.ready) return "not-configured";
    if (!setup.shown.youtube) return "switched-off";
    if (!setup.shown.onlyListed) return null;
    const names = channelNames().map((name) => name.toLowerCase());
    if (!names.length) return "channel-unknown";
    return setup.shown.channels.some((channel) => names.includes(channel.toLowerCase())) ? null : "channel-not-listed";
  }

  /** Start with the page's current video. */
  function arrive() {
    leave();
    const video = videoId();
    if (!video) return;
    visit = startVisit(video);
    if (setup.shown.ready && setup.shown.youtube) {
      const watched = { subtree: true, childList: true, characterData: true, attributeFilter: ["href", "hidden"] };
      observer.observe(document.documentElement, watched);
      inspect(document.querySelectorAll(SELECTORS.comment));
    }
  }

  /** @param {Iterable<Element>} elements comments that may be new or changed */
  async function inspect(elements) {
    const here = visit;
    for (const element of elements) here.touched.add(/** @type {HTMLElement} */ (element));
    if (here.inspecting || !here.touched.size || whyNot()) return;
    here.inspecting = true;
    await scheduler.yield(); // let YouTube's own work finish first
    while (here.touched.size && !here.left.signal.aborted) {
      const batch = [...here.touched];
      here.touched.clear();
      await inSlices(batch, here.left.signal, read);
    }
    here.inspecting = false;
    if (!here.left.signal.aborted) update();
  }

  /** @param {HTMLElement} element the comment's element */
  function read(element) {
    const id = commentId(element, visit.video);
    const text = commentText(element);
    shownBy.get(element)?.elements.delete(element);
    if (!id || !text || !element.isConnected || element.closest("[hidden]")) return clearBadge(element);
    let record = visit.records.get(id);
    if (!record) {
      record = { id, text, isReply: isReply(element, id), result: null, elements: new Set(), revealed: false };
      visit.records.set(id, record);
    }
    record.elements.add(element);
    shownBy.set(element, record);
    if (record.text !== text || !record.result) {
      if (record.text !== text) record.result = null; // edited, or translated
      record.text = text;
      visit.queue.add(id);
      schedule();
    }
    visit.changed = true;
    return paint(record);
  }

  /** @param {CommentRecord} record */
  function paint(record) {
    const { result, text } = record;
    for (const element of record.elements) {
      if (!result || !("sentiment" in result)) {
        clearBadge(element);
      } else if (commentId(element) === record.id) {
        const open = (/** @type {HTMLElement} */ badge) => {
          const about = /** @type {About} */ (visit.about);
          const name = labelName(setup, result.sentiment);
          fillCard(openCard(badge.getBoundingClientRect(), name), setup, { text, analysis: result, about });
        };
        const reveal = () => {
          record.revealed = true;
          paint(record);
        };
        paintBadge(element, /** @type {CommentRecord & {result: Analysis}} */ (record), setup, open, reveal);
      }
    }
  }

  function schedule() {
    if (visit.request || visit.timer !== undefined || visit.trouble) return;
    const delay = Math.max(FIRST_MS, visit.answeredAt + NEXT_MS - performance.now());
    visit.timer = setTimeout(classifyQueue, delay);
  }

  async function classifyQueue() {
    const here = visit;
    clearTimeout(here.timer);
    here.timer = undefined;
    here.trouble = null;
    const pending = [...here.queue].map((id) => /** @type {CommentRecord} */ (here.records.get(id)));
    const texts = pending.map(({ text }) => text);
    if (!pending.length || here.request) return;
    here.queue.clear();
    here.request = new AbortController();
    const canceled = here.request.signal;
    const signal = AbortSignal.any([here.left.signal, canceled]);
    try {
      const { answer, trouble } = await askWorker(texts, signal, (waiting) => {
        here.trouble = waiting;
        update();
      });
      here.answeredAt = performance.now();
      here.trouble = trouble ?? null;
      if (answer) {
        here.about = answer.about;
        here.milliseconds = answer.milliseconds;
        pending.forEach((record, index) => {
          if (record.text === texts[index]) record.result = answer.results[index];
        });
        await inSlices(pending, here.left.signal, paint);
      } else {
        pending.forEach(({ id }) => here.queue.add(id));
        if (trouble?.retryAfter) here.timer = setTimeout(classifyQueue, 1000 * trouble.retryAfter);
      }
      here.changed = true;
    } catch (error) {
      if (here.left.signal.aborted) return;
      if (!canceled.aborted) return leave(); // the extension was removed or updated: clean up
      here.trouble = null;
      pending.forEach(({ id }) => here.queue.add(id));
    } finally {
      here.request = null;
    }
    update();
    if (here.queue.size) schedule();
  }

  /** Retry now: abort a request that takes long, or skip the rest of a pause. */
  function retry() {
    if (visit.request) visit.request.abort();
    else classifyQueue();
  }

  /** Update the toolbar, filter and order. */
  async function update() {
    const { records, arrangement, trouble, about, left } = visit;
    if (!records.size) return;
    const labels = about?.labels ?? [];
    const changed = () => {
      visit.changed = true;
      update();
    };
    const ways = { retry, options: () => chrome.runtime.sendMessage({ type: "options" }), reload: () => location.reload() };
    showToolbar(setup, { labels, records, arrangement, trouble, ways, changed });
    if (visit.changed && (arrangement.filter || arrangement.sort || document.querySelector("[data-commentwise-filtered], [data-commentwise-sorted]"))) {
      visit.changed = false;
      await arrange(records, arrangement, left.signal);
    }
  }

  /** @returns {HTMLVideoElement | undefined} */
  function shownVideo() {
    return /** @type {HTMLVideoElement[]} */ (shownNow(SELECTORS.video))[0];
  }

  /** @returns {Snapshot} */
  function snapshot() {
    const video = shownVideo();
    const comments = [...visit.records.values()].map(({ id, text, isReply, result }) => ({ id, text, isReply, result }));
    const reason = visit.video ? (whyNot() ?? (comments.length ? null : whyNoComments())) : null;
    return {
      videoId: visit.video,
      title: shownNow(SELECTORS.title)[0]?.textContent?.trim() ?? "",
      channel: channelNames()[0] ?? "",
      duration: video && Number.isFinite(video.duration) ? video.duration : 0,
      total: commentsRoot()?.querySelector(SELECTORS.total)?.textContent?.trim() ?? "",
      comments,
      about: visit.about,
      milliseconds: visit.milliseconds,
      trouble: reason ? { kind: reason } : visit.trouble,
      selectors: selectorCounts(),
    };
  }

  async function begin() {
    setup = /** @type {Setup} */ (await chrome.runtime.sendMessage({ type: "setup" }));
    arrive();
  }

  chrome.runtime.onMessage.addListener((message, _, respond) => {
    if (message.type === "settings") begin();
    if (message.type === "snapshot") respond(snapshot());
    if (message.type === "retry") retry();
    if (message.type === "seek") {
      const video = shownVideo();
      if (video) video.currentTime = message.seconds;
    }
  });

  window.addEventListener("yt-navigate-start", leave);
  // YouTube's own event fires late; the browser's is the reliable one.
  for (const [target, event] of /** @type {[EventTarget, string][]} */ ([[window, "yt-navigate-finish"], [navigation, "currententrychange"]])) {
    target.addEventListener(event, () => videoId() !== visit.video && arrive());
  }
  window.addEventListener("online", () => visit.trouble && retry());
  begin();
})();

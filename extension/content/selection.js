/** Shows the selected text's sentiment beside it. The service worker injects this file when the user asks for it. */
(async () => {
  const setup = /** @type {Setup} */ (await chrome.runtime.sendMessage({ type: "setup" }));
  const say = speech(setup);
  const text = selectedText();

  const show = async () => {
    const card = openCard(placeOfSelection(), say("selected_text"));
    const closed = new AbortController();
    card.addEventListener("toggle", (event) => {
      if (/** @type {ToggleEvent} */ (event).newState === "closed") closed.abort();
    });
    const ways = { retry: begin, options: () => chrome.runtime.sendMessage({ type: "options" }) };
    if (!text) return explainInCard(card, setup, { kind: "no-selection" }, ways);
    card.replaceChildren(cardPart("p", "", say("classifying")));
    const { answer, trouble } = await askWorker([text], closed.signal, (waiting) => explainInCard(card, setup, waiting, {}));
    const result = answer?.results[0];
    if (answer && result && "sentiment" in result) {
      return fillCard(card, setup, { text, analysis: result, about: answer.about, milliseconds: answer.milliseconds });
    }
    return explainInCard(card, setup, trouble ?? { kind: "refused", detail: result && "error" in result ? result.error : "" }, ways);
  };

  const begin = () => show().catch(() => {}); // the card was closed before the answer arrived

  function placeOfSelection() {
    const selection = getSelection();
    const box = selection?.rangeCount ? selection.getRangeAt(0).getBoundingClientRect() : null;
    return box?.width || box?.height ? box : (document.activeElement ?? document.body).getBoundingClientRect();
  }

  await begin();
})();

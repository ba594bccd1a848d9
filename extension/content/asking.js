/**
 * Have the service worker classify texts. If the worker is killed meanwhile, the request is repeated.
 *
 * @param {string[]} texts
 * @param {AbortSignal} signal
 * @param {(trouble: Trouble) => void} onWait called with the reason when it takes longer
 * @returns {Promise<{answer?: Answer, trouble?: Trouble}>} rejects when aborted
 */
function askWorker(texts, signal, onWait) {
  const slowAfter = 5000;
  let attempts = 3;
  return new Promise((resolve, reject) => {
    const slow = setTimeout(() => onWait({ kind: "slow" }), slowAfter);
    /** @type {chrome.runtime.Port | undefined} */
    let port;
    const done = (/** @type {() => void} */ settle) => {
      clearTimeout(slow);
      port?.disconnect();
      settle();
    };
    const connect = () => {
      port = chrome.runtime.connect(/** @type {any} */ ({ name: "classify" }));
      port.onMessage.addListener((message) => {
        if (message.waiting) onWait(message.waiting);
        else done(() => resolve(message));
      });
      // Not fired for our own disconnect().
      port.onDisconnect.addListener(() => {
        if (signal.aborted) return;
        attempts -= 1;
        if (!chrome.runtime?.id) done(() => reject(new Error("the extension was removed or updated")));
        else if (attempts > 0) connect();
        else done(() => resolve({ trouble: { kind: "server-error" } }));
      });
      port.postMessage({ texts });
    };
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener("abort", () => done(() => reject(signal.reason)), { once: true });
    return connect();
  });
}

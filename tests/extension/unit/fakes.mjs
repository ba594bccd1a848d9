/** The parts of the browser that the service worker's modules need. */

export function fakeChrome({ permitted = true, settings = {} } = {}) {
  const area = (content) => ({
    content,
    get: async (key) => (key in content ? { [key]: structuredClone(content[key]) } : {}),
    set: async (values) => void Object.assign(content, structuredClone(values)),
    remove: async (key) => void delete content[key],
  });
  const server = "http://127.0.0.1:8000";
  globalThis.chrome = {
    storage: { local: area({ settings: { server, consent: server, ...settings } }), session: area({}) },
    permissions: { contains: async () => permitted },
    runtime: { getPlatformInfo: async () => ({}) },
  };
  // Node.js has no navigator before 21, and no locks before 24.
  Object.defineProperty(globalThis, "navigator", { value: { onLine: true, locks: fakeLocks() }, configurable: true });
  return globalThis.chrome;
}

function fakeLocks() {
  const held = new Map();
  const request = (name, work) => {
    const done = (held.get(name) ?? Promise.resolve()).then(work);
    held.set(name, done.catch(() => {}));
    return done;
  };
  return { request };
}

/** A fake server whose answers depend on the texts; `answers` are used first. */
export function fakeServer({ bundleId = "b".repeat(64), maxTexts = 4, answers = [] } = {}) {
  const server = { requests: [], bundleId, maxTexts, answers };
  globalThis.fetch = async (url, { body, signal, headers, ...options }) => {
    signal?.throwIfAborted();
    const path = new URL(url).pathname;
    const asked = body && JSON.parse(body);
    server.requests.push({ path, body: asked, headers, options });
    const given = path === "/info" ? undefined : server.answers.shift();
    if (given instanceof Error) throw given;
    if (given) return given;
    if (path === "/info") {
      const { bundleId: bundle_id, maxTexts: max_client_batch_size } = server;
      return json({ bundle_id, max_client_batch_size, labels: ["negative", "positive"], version: "1", family: "bert" });
    }
    if (path === "/feedback") return json({ stored: true });
    return json({ results: asked.texts.map((text) => ({ sentiment: "positive", confidence: 1, probabilities: {}, text })), bundle_id: server.bundleId });
  };
  return server;
}

export function json(value, status = 200, headers = {}) {
  return new Response(JSON.stringify(value), { status, headers });
}

/** Export of comments and corrections as files. */

/**
 * @param {unknown} value
 * @returns {string} a CSV field that spreadsheets do not interpret as a formula
 */
function field(value) {
  const text = String(value ?? "");
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/**
 * @param {string[]} columns
 * @param {Record<string, unknown>[]} rows
 * @returns {string} CSV (RFC 4180)
 */
export function csv(columns, rows) {
  return [columns, ...rows.map((row) => columns.map((column) => row[column]))].map((row) => row.map(field).join(",") + "\r\n").join("");
}

/**
 * @param {import("./types.js").Snapshot} snapshot
 * @param {string[]} labels
 * @returns {Record<string, unknown>[]} one flat row per comment
 */
export function commentRows({ videoId, comments }, labels) {
  return comments.map(({ id, text, isReply, result }) => {
    const analysis = result && "sentiment" in result ? result : null;
    return {
      comment_id: id,
      video_id: videoId,
      reply: isReply,
      text,
      sentiment: analysis?.sentiment ?? null,
      confidence: analysis?.confidence ?? null,
      unsure: analysis?.unsure ?? null,
      ...Object.fromEntries(labels.map((label) => [`p_${label}`, analysis?.probabilities[label] ?? null])),
    };
  });
}

/**
 * Download a file.
 *
 * @param {string} name
 * @param {string} type
 * @param {string} content
 */
export function download(name, type, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

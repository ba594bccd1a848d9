/**
 * @returns {string} the text selected in this frame
 */
function selectedText() {
  // The document's selection does not include text in form fields; passwords are never read.
  const field = document.activeElement;
  if (field instanceof HTMLInputElement && field.type === "password") return "";
  if (field instanceof HTMLTextAreaElement || field instanceof HTMLInputElement) {
    const chosen = field.value.slice(field.selectionStart ?? 0, field.selectionEnd ?? 0).trim();
    if (chosen) return chosen;
  }
  return getSelection()?.toString().trim() ?? "";
}

selectedText(); // the result of executeScript, when this file is injected alone

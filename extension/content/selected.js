/**
 * @returns {string} the text that is selected in this frame
 */
function selectedText() {
  // Text in a field is no part of the document's selection, and a password is nobody's business.
  const field = document.activeElement;
  if (field instanceof HTMLInputElement && field.type === "password") return "";
  if (field instanceof HTMLTextAreaElement || field instanceof HTMLInputElement) {
    const chosen = field.value.slice(field.selectionStart ?? 0, field.selectionEnd ?? 0).trim();
    if (chosen) return chosen;
  }
  return getSelection()?.toString().trim() ?? "";
}

selectedText(); // for whoever puts this file alone into a page

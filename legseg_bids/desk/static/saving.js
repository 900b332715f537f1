/* The two questions about saving: how to sign a correction, and which of two to keep. */

import { ask, h } from "./dom.js";

const NAME = "legseg-desk author";

/** Ask who corrected, and why; null if the person thinks better of it. */
export async function askToSave(changes) {
  const author = h("input", { type: "text", id: "author", autocomplete: "name", maxlength: 100 });
  try { author.value = localStorage.getItem(NAME) ?? ""; } catch { /* storage is off: ask each time */ }
  const note = h("textarea", { id: "note", rows: 2, maxlength: 1000 });
  const line = ({ name, before, after }) => h("tr", {}, h("th", { scope: "row" }, name),
    h("td", { class: "number" }, before.toFixed(1)), h("td", { class: "number" }, after.toFixed(1)),
    h("td", { class: "number" }, `${after < before ? "−" : "+"}${Math.abs(after - before).toFixed(1)}`));
  const answer = await ask("Save the correction", [
    h("p", {}, "It is saved beside the automatic result, marked as made by hand; the automatic result stays. The measurements are made anew."),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "What changed" },
      h("table", {}, h("caption", {}, "What changed (mL)"),
        h("thead", {}, h("tr", {}, ["Structure", "Before", "After", "Change"].map((t) => h("th", { scope: "col" }, t)))),
        h("tbody", {}, changes.map(line)))),
    h("label", { class: "block" }, "Your name or initials ", h("span", { class: "hint" }, "(optional, is written into the file)"), author),
    h("label", { class: "block" }, "Note ", h("span", { class: "hint" }, "(optional)"), note),
  ], [["", "Cancel"], ["save", "Save", "main"]]);
  if (answer !== "save") return null;
  try { localStorage.setItem(NAME, author.value.trim()); } catch { /* as above */ }
  return { author: author.value.trim(), note: note.value.trim() };
}

/** Another window saved a draft of the same labels: "mine", "theirs" or "" (later). */
export function resolveConflict() {
  return ask("Changed in another window", [
    h("p", {}, "These labels were also changed in another tab or window, after this one had read them. Only one version can be kept."),
    h("ul", {},
      h("li", {}, h("strong", {}, "Keep mine"), ": what you see here replaces the other version."),
      h("li", {}, h("strong", {}, "Take the other one"), ": your changes in this window are given up."),
      h("li", {}, h("strong", {}, "Decide later"), ": nothing is saved from this window until you choose; “Save…” asks again.")),
  ], [["", "Decide later"], ["theirs", "Take the other one"], ["mine", "Keep mine", "main"]]);
}

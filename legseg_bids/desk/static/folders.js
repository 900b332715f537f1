/* Choosing a folder of this computer: the program lists, the person goes. */

import { get } from "./api.js";
import { ask, h, plural } from "./dom.js";

const KINDS = { dicom: "DICOM", nifti: "NIfTI", bids: "BIDS dataset" };

/** Ask for a folder; resolves to its path, or "" if the person thinks better of it. */
export async function chooseFolder() {
  const where = { path: "", asked: 0 };
  const input = h("input", { type: "text", id: "path", autocomplete: "off", spellcheck: "false" });
  const entries = h("ul", { class: "entries", "aria-label": "Folders" });
  const problem = h("p", { class: "bad", role: "alert" });
  const up = h("button", { type: "button", "aria-label": "One folder up" }, "↑ Up");

  const go = async (path) => {
    problem.textContent = "";
    where.asked += 1;
    const { asked } = where;
    let found;
    try {
      found = await get(`/api/folders${path ? `?path=${encodeURIComponent(path)}` : ""}`);
    } catch (error) {
      if (asked === where.asked) problem.textContent = error.message;
      return;
    }
    if (asked !== where.asked) return; // the person went on before the answer came
    where.path = found.path;
    input.value = found.path;
    up.disabled = !found.parent;
    up.onclick = () => go(found.parent);
    const rows = found.entries.map((entry) => h("li", {}, h("button", {
      type: "button", class: "entry", onclick: () => go(entry.path),
    }, h("span", { class: "name" }, entry.name),
    KINDS[entry.kind] ? h("span", { class: "kind" }, KINDS[entry.kind]) : null,
    h("span", { class: "hint" }, entry.files ? plural(entry.files, "file") : ""))));
    entries.replaceChildren(...rows);
    if (!rows.length) entries.append(h("li", { class: "hint" }, "There are no folders in here. To use the files of this folder itself, choose “Use this folder”."));
  };
  input.addEventListener("input", () => { where.asked += 1; });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    go(input.value);
  });
  const content = h("div", { class: "picker" },
    h("div", { class: "row" }, up, h("label", { class: "grow" }, h("span", { class: "away" }, "Path of the folder"), input)),
    problem, entries,
    h("p", { class: "hint" }, "Its files are only read, never changed."));
  go("");
  const answer = await ask("Choose a folder of images", content,
    [["", "Cancel"], ["use", "Use this folder", "main"]], { wide: true });
  return answer === "use" ? where.path : "";
}


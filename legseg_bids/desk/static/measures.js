/* The table of measurements beside the picture: sorted by a click, a row leads to its structure. */

import { get, projectPath } from "./api.js";
import { $, $$, h } from "./dom.js";

const QUALITY = { good: "✓ good", check: "! check", poor: "✗ poor" };

/* Shown at once; the others wait behind a tick. */
const FIRST = ["volume", "mean_fat_fraction", "quality"];

export class Measures {
  constructor(project, id, choose) {
    this.path = projectPath(project, "results", id, "measures");
    this.choose = choose;
    this.more = h("input", { type: "checkbox", onchange: () => this.draw() });
    this.place = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Measurements" });
    this.note = h("p", { class: "note", hidden: true }, "These numbers are of the labels as they were saved. They are measured anew when you save your correction.");
    this.element = h("div", { class: "measures" }, this.note,
      h("label", { class: "hint" }, this.more, " all columns"), this.place);
  }

  async read() {
    this.place.replaceChildren(h("p", { class: "wait" }, "Reading the measurements…"));
    try {
      this.data = await get(this.path);
      this.draw();
    } catch (error) {
      this.place.replaceChildren(h("p", { class: "bad" }, error.message),
        h("button", { type: "button", onclick: () => this.read() }, "Try again"));
    }
  }

  stale(is) { this.note.hidden = !is; }

  draw() {
    const { columns, rows } = this.data;
    if (!rows.length) { this.place.replaceChildren(h("p", {}, "There are no measurements.")); return; }
    const few = FIRST.map((key) => columns.find((column) => column.key === key)).filter(Boolean);
    const shown = this.more.checked || !few.length ? columns : few;
    const wanted = shown.filter(({ key }) => !["index", "name", "side"].includes(key));
    const head = h("tr", {}, this.heading("name", "Structure"),
      wanted.map((column) => this.heading(column.key, column.title, column.unit, column.description)));
    this.place.replaceChildren(h("table", {}, h("thead", {}, head),
      h("tbody", {}, rows.map((row) => this.row(row, wanted)))));
    this.mark(this.current);
  }

  heading(key, title, unit, description) {
    return h("th", { scope: "col", title: description, "data-key": key },
      h("button", { type: "button", onclick: () => this.sort(key) }, title, unit ? h("span", { class: "hint" }, ` ${unit}`) : null));
  }

  row(row, columns) {
    return h("tr", { "data-index": row.index },
      h("th", { scope: "row" }, h("button", { type: "button", class: "show", onclick: () => this.choose(row.index) }, row.name)),
      columns.map(({ key }) => {
        const value = row[key];
        if (key === "quality") return h("td", { class: `quality ${value}` }, QUALITY[value] ?? value ?? "");
        return h("td", { class: typeof value === "number" ? "number" : "" }, text(value));
      }));
  }

  sort(key) {
    const down = this.sorted === key;
    this.sorted = down ? null : key;
    const sign = down ? -1 : 1;
    this.data.rows.sort((a, b) => {
      const [x, y] = [a[key], b[key]];
      if (x === null || x === undefined || y === null || y === undefined) return (x ?? null) === null ? 1 : -1;
      return sign * (typeof x === "number" ? x - y : String(x).localeCompare(String(y)));
    });
    this.draw();
    for (const th of $$("th[data-key]", this.place)) {
      if (th.dataset.key === key) th.setAttribute("aria-sort", down ? "descending" : "ascending");
    }
    $(`th[data-key="${CSS.escape(key)}"] button`, this.place)?.focus();
  }

  mark(index) {
    this.current = index;
    for (const row of $$("tbody tr", this.place)) row.classList.toggle("now", Number(row.dataset.index) === index);
  }
}

function text(value) {
  if (value === null || value === undefined || value === "n/a") return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) < 10 ? value.toFixed(2) : value.toFixed(1);
}

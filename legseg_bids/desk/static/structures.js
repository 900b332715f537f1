/* The list of structures: search, colour, hide and show, and how much of each there is. */

import { $, $$, h } from "./dom.js";

const TISSUES = { muscle: "Muscles", bone: "Bones", fat: "Fat", skin: "Skin", vessel: "Vessels" };

export class Structures {
  /** `known`: structures of the session; `on`: { choose(index), seen(), colour() }. */
  constructor(known, on) {
    this.known = known;
    this.on = on;
    this.byIndex = new Map(known.map((one) => [one.index, one]));
    this.colors = Object.fromEntries(known.map(({ index, color }) => [index, color]));
    this.hidden = new Set();
    this.alone = false;
    this.current = 0;
    this.present = new Set();
    this.rows = new Map();
    this.element = this.build();
  }

  name(index) {
    return index === 0 ? "not labelled" : this.byIndex.get(index)?.name ?? `label ${index}`;
  }

  abbreviation(index) { return this.byIndex.get(index)?.abbreviation ?? String(index); }

  isVisible = (index) => (this.alone ? index === this.current : !this.hidden.has(index));

  build() {
    const search = h("input", {
      type: "search", id: "search", placeholder: "Search", "aria-label": "Search a structure", autocomplete: "off",
      oninput: () => this.filter(),
      onkeydown: (event) => {
        const first = $$("[role=option]", this.element).find((row) => !row.hidden);
        if (event.key === "ArrowDown" || event.key === "Enter") {
          event.preventDefault();
          if (first && event.key === "Enter") this.choose(Number(first.dataset.index), true);
          first?.focus();
        } else if (event.key === "Escape") {
          search.value = "";
          this.filter();
          search.blur();
        }
      },
    });
    this.all = h("input", { type: "checkbox", id: "all-structures", onchange: () => this.filter() });
    this.soloButton = h("button", { type: "button", id: "solo", "aria-pressed": "false", title: "Only the current structure (S)", onclick: () => this.solo() }, "Only this");
    this.hideButton = h("button", { type: "button", id: "hide", title: "Hide or show the current structure (H)", onclick: () => this.toggle(this.current) }, "Hide this");
    this.colorInput = h("input", {
      type: "color", id: "colour", "aria-label": "Colour of the current structure", title: "Colour of the current structure",
      oninput: () => this.paint(this.current, this.colorInput.value),
    });
    this.list = h("ul", {
      role: "listbox", id: "structures", "aria-label": "Structures",
      onkeydown: (event) => this.key(event), onclick: (event) => this.click(event),
    });
    return h("div", { class: "structures" },
      h("div", { class: "row" }, search, this.colorInput),
      h("div", { class: "row" }, this.soloButton, this.hideButton,
        h("button", { type: "button", id: "show-all", onclick: () => this.showAll() }, "Show all")),
      h("label", { class: "hint" }, this.all, " also those that are not in this image"),
      this.list);
  }

  /** Volumes (mL) by label, and what they were when the labels were last saved. */
  measure(volumes, before) {
    const present = new Set(this.known.map(({ index }) => index).filter((i) => volumes[i] > 0 || before[i] > 0));
    const other = present.size !== this.present.size || [...present].some((i) => !this.present.has(i));
    this.present = present;
    if (!this.rows.size) this.fill();
    else if (other) this.filter();
    for (const [index, row] of this.rows) {
      const changed = Math.abs(volumes[index] - before[index]) > 1e-9;
      $(".amount", row).textContent = volumes[index] || before[index] ? volumes[index].toFixed(volumes[index] < 10 ? 1 : 0) : "";
      row.classList.toggle("changed", changed);
      $(".amount", row).title = changed ? `was ${before[index].toFixed(1)} mL` : "mL";
    }
  }

  fill() {
    const groups = [...new Set(this.known.map(({ tissue }) => tissue))];
    this.rows.clear();
    this.list.replaceChildren(...groups.map((tissue) => {
      const title = TISSUES[tissue] ?? tissue;
      const rows = this.known.filter((one) => one.tissue === tissue).map((one) => this.row(one));
      return h("li", { role: "none" }, h("span", { class: "group", "aria-hidden": "true" }, title),
        h("ul", { role: "group", "aria-label": title }, rows));
    }));
    this.filter();
    this.mark();
  }

  row({ index, name, abbreviation }) {
    const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = this.colors[index];
    const row = h("li", {
      role: "option", id: `structure-${index}`, "data-index": index, tabindex: "-1", "aria-selected": "false",
    }, h("span", { class: "eye", title: "Hide or show", "aria-hidden": "true" }), swatch,
    h("span", { class: "name" }, name), h("abbr", { class: "hint" }, abbreviation),
    h("span", { class: "amount" }));
    this.rows.set(index, row);
    return row;
  }

  filter() {
    const words = $("#search", this.element).value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const [index, row] of this.rows) {
      const { name, abbreviation } = this.byIndex.get(index);
      const text = `${name} ${abbreviation}`.toLowerCase();
      row.hidden = !(this.all.checked || this.present.has(index) || index === this.current) ||
        !words.every((word) => text.includes(word));
    }
    for (const group of $$("[role=group]", this.list)) {
      group.parentElement.hidden = ![...group.children].some((row) => !row.hidden);
    }
    this.roving();
  }

  /* Exactly one row can be reached with Tab. */
  roving() {
    const rows = [...this.rows.values()].filter((row) => !row.hidden);
    const at = rows.find((row) => Number(row.dataset.index) === this.current) ?? rows[0];
    for (const row of this.rows.values()) row.tabIndex = row === at ? 0 : -1;
  }

  /** Show in the list what is current, hidden, alone. */
  mark() {
    for (const [index, row] of this.rows) {
      row.setAttribute("aria-selected", String(index === this.current));
      row.classList.toggle("off", !this.isVisible(index));
      row.setAttribute("aria-description", this.isVisible(index) ? "" : "hidden");
    }
    this.soloButton.setAttribute("aria-pressed", String(this.alone));
    this.hideButton.textContent = this.hidden.has(this.current) ? "Show this" : "Hide this";
    for (const one of [this.soloButton, this.hideButton, this.colorInput]) one.disabled = !this.current;
    if (this.current) this.colorInput.value = this.colors[this.current];
    this.roving();
  }

  choose(index, go = false) {
    if (!this.byIndex.has(index)) return;
    this.current = index;
    this.filter();
    this.mark();
    this.rows.get(index)?.scrollIntoView({ block: "nearest" });
    this.on.choose(index, go);
    if (this.alone) this.on.seen();
  }

  toggle(index) {
    if (!index) return;
    if (!this.hidden.delete(index)) this.hidden.add(index);
    this.alone = false;
    this.mark();
    this.on.seen();
  }

  solo() {
    if (!this.current) return;
    this.alone = !this.alone;
    this.mark();
    this.on.seen();
  }

  showAll() {
    this.hidden.clear();
    this.alone = false;
    this.mark();
    this.on.seen();
  }

  paint(index, color) {
    this.colors[index] = color;
    $(".swatch", this.rows.get(index)).style.background = color;
    this.on.seen();
  }

  click(event) {
    const row = event.target.closest("[role=option]");
    if (!row) return;
    const index = Number(row.dataset.index);
    if (event.target.closest(".eye")) this.toggle(index);
    else this.choose(index, true);
  }

  key(event) {
    const row = event.target.closest("[role=option]");
    if (!row) return;
    const rows = [...this.rows.values()].filter((one) => !one.hidden);
    const at = rows.indexOf(row);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1, PageDown: at + 10, PageUp: at - 10 }[event.key];
    const control = event.ctrlKey || event.metaKey || event.altKey;
    if (to !== undefined) {
      rows[Math.min(Math.max(to, 0), rows.length - 1)].focus();
    } else if (event.key === "Enter" || event.key === " ") {
      this.choose(Number(row.dataset.index), true);
    } else if (event.key === "h" && !control) {
      this.toggle(Number(row.dataset.index));
    } else if (event.key === "s" && !control) {
      this.choose(Number(row.dataset.index));
      this.solo();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

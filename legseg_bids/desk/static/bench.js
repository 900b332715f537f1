/* What the desk is made of: buttons, sliders, the picture's frame, the panels; and how they show
   what is chosen. What they do is told to `on`. */

import { $, h, icon } from "./dom.js";
import { shown } from "./keys.js";
import { SIZES, TOOLS } from "./tools.js";

const ICONS = {
  look: "M12 2v7M12 15v7M2 12h7M15 12h7",
  brush: "M4 20c3 0 5-1 5-4a3 3 0 0 1 6 0M11 13L19 3l2 2-8 10",
  eraser: "M7 20h13M3 15l8-9 8 6-7 8H7z",
  fill: "M5 12l7-8 7 8-7 7zM20 16c1 2 2 3 0 4s-2-2 0-4z",
  pick: "M4 20l1-4 9-9 3 3-9 9zM13 6l2-2 5 5-2 2",
  between: "M4 5h16M4 19h16M7 12h10M12 7v3M12 14v3",
  undo: "M9 5L4 10l5 5M4 10h10a6 6 0 0 1 0 11h-3",
  redo: "M15 5l5 5-5 5M20 10H10a6 6 0 0 0 0 11h3",
};
const NAMES = { look: "Look", brush: "Brush", eraser: "Eraser", fill: "Fill", pick: "Pick", between: "Fill between" };

/** How strong labels are at first. */
export const OPACITY = 0.7;

export class Bench {
  /** `side`: elements of the panels; `on`: what to call when the person does something. */
  constructor(title, side, on) {
    this.on = on;
    this.element = this.build(title, side);
  }

  build(title, side) {
    const tool = (name, action) => h("button", {
      type: "button", id: `tool-${name}`, class: "tool", "aria-pressed": "false",
      title: `${NAMES[name]} (${shown(action)})`, onclick: () => this.on.act(action),
    }, icon(ICONS[name]), NAMES[name]);
    const step = (name, title) => h("button", {
      type: "button", id: name, class: "icon-only", "aria-label": title, title: `${title} (${shown(name)})`, disabled: true,
      onclick: () => this.on.act(name),
    }, icon(ICONS[name]));
    this.size = h("input", { type: "range", id: "size", min: 0, max: SIZES.length - 1, "aria-label": "Size of the brush", oninput: (event) => this.on.size(SIZES[event.target.value]) });
    this.sizeText = h("output", { for: "size" });
    this.protect = h("input", { type: "checkbox", id: "protect", checked: true, onchange: (event) => this.on.protect(event.target.checked) });
    this.inBody = h("input", { type: "checkbox", id: "in-body", onchange: (event) => this.on.inBody(event.target.checked) });
    this.state = h("span", { id: "draft", role: "status" });
    this.saveButton = h("button", { type: "button", id: "save", class: "main", disabled: true, onclick: () => this.on.act("save"), title: `Save the correction (${shown("save")})` }, "Save…");
    this.dropButton = h("button", { type: "button", id: "drop-draft", hidden: true, onclick: () => this.on.drop() }, "Discard");
    const bar = h("div", { class: "toolbar", role: "toolbar", "aria-label": "Tools" },
      h("div", { class: "tools" }, tool("look", "look"), tool("brush", "brush"), tool("eraser", "eraser"), tool("fill", "fill"), tool("pick", "pick"), tool("between", "between")),
      h("label", { class: "size" }, "Size ", this.size, this.sizeText),
      h("label", { title: "The brush changes nothing that belongs to another structure" }, this.protect, " Protect others"),
      h("label", { title: "Nothing is drawn in the air around the legs" }, this.inBody, " In the body only"));
    this.actions = [this.state, step("undo", "Undo"), step("redo", "Redo"), this.dropButton, this.saveButton];
    this.canvas = h("canvas", { id: "picture", tabindex: "0", "aria-label": "Picture of the leg. Arrow keys move the cross, Page Up and Page Down change the slice, ? shows all keys.", "aria-describedby": "readout" });
    this.ring = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.ring.setAttribute("class", "ring");
    this.ring.setAttribute("aria-hidden", "true");
    this.ring.append(...["dark", "light"].map((shade) => {
      const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
      circle.setAttribute("class", shade);
      return circle;
    }));
    this.readout = h("output", { id: "readout" });
    return h("div", { class: "bench" },
      h("h1", { class: "away" }, title), bar,
      h("div", { class: "stage" },
        h("div", { class: "frame" }, this.canvas, this.ring, h("p", { id: "loading", class: "wait" }, "Loading the image…")),
        this.buildView()),
      this.buildSide(side));
  }

  buildView() {
    this.slice = h("input", { type: "range", id: "slice", min: 1, "aria-label": "Slice", oninput: () => this.on.slice(Number(this.slice.value) - 1) });
    this.opacityInput = h("input", { type: "range", id: "opacity", min: 0, max: 100, value: OPACITY * 100, "aria-label": "Opacity of the labels", oninput: (event) => this.on.opacity(event.target.value / 100) });
    this.labelsInput = h("input", { type: "checkbox", id: "labels", checked: true, onchange: () => this.on.labels(this.labelsInput.checked) });
    this.edgesInput = h("input", { type: "checkbox", id: "edges", onchange: () => this.on.edges(this.edgesInput.checked) });
    this.layout = h("select", { id: "layout", "aria-label": "Planes", onchange: () => this.on.layout(this.layout.value) },
      [["all", "Three planes"], ["axial", "Slice"], ["coronal", "Front"], ["sagittal", "Side"]].map(([value, text]) => h("option", { value }, text)));
    return h("div", { class: "view" }, this.readout,
      h("div", { class: "row" }, h("label", { class: "grow" }, "Slice ", this.slice), this.layout,
        h("label", {}, this.labelsInput, " Labels"), h("label", {}, "Opacity ", this.opacityInput),
        h("label", {}, this.edgesInput, " Outlines"),
        h("button", { type: "button", onclick: () => this.on.act("reset"), title: `Whole image, usual brightness (${shown("reset")})` }, "Reset view"),
        h("button", { type: "button", onclick: () => this.on.picture() }, "Picture")));
  }

  buildSide([structures, measures]) {
    const panels = [["structures", "Structures", structures], ["measures", "Measurements", measures]];
    const tabs = panels.map(([name, text], i) => h("button", {
      type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`, "aria-selected": String(i === 0), tabindex: i ? "-1" : "0",
    }, text));
    const bodies = panels.map(([name, , element], i) => h("div", { role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}`, hidden: i > 0 }, element));
    const open = (at) => {
      tabs.forEach((tab, i) => { tab.setAttribute("aria-selected", String(i === at)); tab.tabIndex = i === at ? 0 : -1; });
      bodies.forEach((body, i) => { body.hidden = i !== at; });
    };
    tabs.forEach((tab, i) => {
      tab.addEventListener("click", () => open(i));
      tab.addEventListener("keydown", (event) => {
        if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
        event.preventDefault();
        event.stopPropagation();
        open(1 - i);
        tabs[1 - i].focus();
      });
    });
    return h("aside", { class: "side", "aria-label": "Structures and measurements" },
      h("div", { role: "tablist", class: "tabs" }, tabs), bodies);
  }

  /* ---- showing what is chosen ---- */

  showTool(chosen) {
    for (const name of TOOLS) $(`#tool-${name}`).setAttribute("aria-pressed", String(chosen === name));
    this.canvas.dataset.tool = chosen;
  }

  showSize(diameter) {
    this.size.value = SIZES.findIndex((size) => size >= diameter);
    this.sizeText.textContent = `${diameter} mm`;
    this.size.setAttribute("aria-valuetext", `${diameter} millimetres`);
  }

  /** The outline of the brush around a place of the picture, or none. */
  showRing(at, radius = 0) {
    this.ring.classList.toggle("on", Boolean(at));
    if (!at) return;
    for (const circle of this.ring.children) {
      circle.setAttribute("cx", at[0]);
      circle.setAttribute("cy", at[1]);
      circle.setAttribute("r", Math.max(2, radius));
    }
  }

  /** Whether something can be undone or redone, and what. */
  showStep(name, can, what) {
    const button = $(`#${name}`);
    button.disabled = !can;
    const label = `${name === "undo" ? "Undo" : "Redo"}${what ? ` ${what}` : ""}`;
    button.setAttribute("aria-label", label);
    button.title = `${label} (${shown(name)})`;
  }
}

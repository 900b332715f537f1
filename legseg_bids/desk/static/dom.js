/* Making and finding elements. No text from the data ever becomes markup. */

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/** Make an element: `h("button", { class: "main", onclick: f }, "Run")`.

    Values that are functions listen, `true` sets an empty attribute, `false` and null set none. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** A drawing of one path on a grid of 24, hidden from screen readers: the button has the name. */
export function icon(path) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS(SVG, "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

/** Fill the place of the current view; focus goes to its heading. */
export function show(...children) {
  const main = $("#main");
  main.replaceChildren(...children);
  const heading = $("h1", main);
  if (heading) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
    document.title = `${heading.textContent} – legseg desk`;
  }
  scrollTo(0, 0);
}

/** A dialog that removes itself; resolves to the value of the button that closed it ("" for Esc). */
export function ask(title, content, buttons, { wide = false } = {}) {
  return new Promise((resolve) => {
    const heading = h("h2", { tabindex: "-1" }, title);
    // The button that gives nothing is no submit button: Enter in a field must not press it.
    const bar = h("div", { class: "buttons" }, buttons.map(([value, text, kind]) => h("button", {
      type: value ? "submit" : "button", value, class: kind ?? "",
      onclick: value ? null : () => dialog.close(""),
    }, text)));
    const form = h("form", { method: "dialog" }, heading, content, bar);
    const dialog = h("dialog", { class: wide ? "wide" : "", "aria-label": title }, form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
    document.body.append(dialog);
    const before = document.activeElement;
    dialog.addEventListener("close", () => before?.focus?.({ preventScroll: true }));
    dialog.showModal();
    if (!$("input, textarea", dialog)) heading.focus();
  });
}

/** A line at the bottom that tells what happened, and goes away. */
export function tell(text, kind = "") {
  const line = h("p", { class: `told ${kind}` }, text);
  $("#told").replaceChildren(line);
  setTimeout(() => line.remove(), kind === "bad" ? 12000 : 5000);
}

/** "1.2 MB" */
export function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) { n /= 1000; i += 1; }
  return `${i ? n.toFixed(1) : n} ${units[i]}`;
}

/** "about 3 min" */
export function duration(seconds) {
  if (seconds < 50) return `about ${Math.max(5, Math.ceil(seconds / 5) * 5)} s`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min`;
  return `about ${(seconds / 3600).toFixed(1)} h`;
}

export const plural = (n, word, many = `${word}s`) => `${n} ${n === 1 ? word : many}`;

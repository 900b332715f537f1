/* The keys: one table, for what they do and for the sheet that says so. */

import { ask, h } from "./dom.js";

/** [action, keys as the browser names them, what the sheet says, part of the sheet] */
export const KEYS = [
  ["look", ["v", "Escape"], "Look: click to go to a place", "Tools"],
  ["brush", ["b"], "Brush", "Tools"],
  ["eraser", ["e"], "Eraser", "Tools"],
  ["fill", ["f"], "Fill a closed region of this slice", "Tools"],
  ["pick", ["p"], "Pick a structure with a click (or Alt + click)", "Tools"],
  ["smaller", ["["], "Smaller brush", "Tools"],
  ["larger", ["]"], "Larger brush", "Tools"],
  ["use", ["Enter"], "Use the tool at the cross", "Tools"],
  ["between", ["i"], "Fill in between two slices", "Tools"],
  ["undo", ["Ctrl+z"], "Undo", "Changes"],
  ["redo", ["Ctrl+y", "Ctrl+Shift+z"], "Redo", "Changes"],
  ["save", ["Ctrl+s"], "Save the correction", "Changes"],
  ["left", ["ArrowLeft"], "Move the cross left", "Moving"],
  ["right", ["ArrowRight"], "Move the cross right", "Moving"],
  ["up", ["ArrowUp"], "Move the cross up", "Moving"],
  ["down", ["ArrowDown"], "Move the cross down", "Moving"],
  ["next", ["PageUp", "."], "Next slice (also the wheel)", "Moving"],
  ["previous", ["PageDown", ","], "Previous slice", "Moving"],
  ["in", ["+", "="], "Closer (also Ctrl + wheel)", "Seeing"],
  ["out", ["-"], "Further away", "Seeing"],
  ["lighter", ["l"], "Lighter", "Seeing"],
  ["darker", ["d"], "Darker", "Seeing"],
  ["more", ["m"], "More contrast", "Seeing"],
  ["less", ["n"], "Less contrast", "Seeing"],
  ["reset", ["0"], "Whole image, usual brightness", "Seeing"],
  ["layout-all", ["1"], "Three planes", "Seeing"],
  ["layout-axial", ["2"], "Slice only", "Seeing"],
  ["layout-coronal", ["3"], "From the front only", "Seeing"],
  ["layout-sagittal", ["4"], "From the side only", "Seeing"],
  ["toggle", [" "], "Hide or show all outlines", "Seeing"],
  ["edges", ["o"], "Outlines or filled", "Seeing"],
  ["solo", ["s"], "Only the current structure", "Seeing"],
  ["hide", ["h"], "Hide or show the current structure", "Seeing"],
  ["compare", ["c"], "Show the labels as they were saved", "Seeing"],
  ["search", ["/"], "Search a structure", "Seeing"],
  ["help", ["?"], "This sheet", "Seeing"],
];

const NAMES = {
  " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc",
  PageUp: "Page ↑", PageDown: "Page ↓",
};

/** "Ctrl+Shift+z" of an event; Shift alone is in the letter already. */
export function pressed(event) {
  const control = event.ctrlKey || event.metaKey;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return (control ? "Ctrl+" : "") + (control && event.shiftKey ? "Shift+" : "") + key;
}

/** The action of an event; "" if it has none, or if the person is typing. */
export function actionOf(event) {
  if (event.altKey || event.defaultPrevented || document.querySelector("dialog[open]")) return "";
  const key = pressed(event);
  const { target } = event;
  const typing = target.matches?.("input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select");
  if (typing) return key === "Ctrl+s" ? "save" : "";
  const pressable = target.matches?.("button, a, summary, input, [role=option]");
  if (pressable && (key === " " || key === "Enter")) return "";
  if (target.matches?.("input, [role=option], [role=option] *") && /^(Arrow|Page|Home|End)/.test(key)) return "";
  return KEYS.find(([, keys]) => keys.includes(key))?.[0] ?? "";
}

/** "Ctrl + Z", for a tip. */
export const shown = (action) => keysOf(action)[0];

function keysOf(action) {
  const keys = KEYS.find(([name]) => name === action)?.[1] ?? [];
  return keys.map((key) => key.split(/\+(?=.)/).map((part) => NAMES[part] ?? (part.length === 1 ? part.toUpperCase() : part)).join(" + "));
}

/** The sheet. */
export function showHelp() {
  const parts = [...new Set(KEYS.map(([, , , part]) => part))].map((part) => h("section", {},
    h("h3", {}, part),
    h("dl", { class: "keys" }, KEYS.filter((row) => row[3] === part).map(([action, , text]) => [
      h("dt", {}, keysOf(action).map((key, i) => [i ? " or " : "", h("kbd", {}, key)]).flat()),
      h("dd", {}, text),
    ]))));
  const mouse = h("section", {}, h("h3", {}, "Mouse"), h("dl", { class: "keys" }, [
    ["Wheel", "Next or previous slice"], ["Ctrl + wheel", "Closer or further away"],
    ["Shift + wheel", "Size of the brush"], ["Right button, drag", "Brightness (up, down) and contrast (left, right)"],
    ["Middle button or Shift, drag", "Move the picture"], ["Alt + click", "Pick the structure under the pointer"],
  ].map(([keys, text]) => [h("dt", {}, keys), h("dd", {}, text)])));
  return ask("Keys and mouse", h("div", { class: "sheet" }, parts, mouse), [["", "Close", "main"]], { wide: true });
}

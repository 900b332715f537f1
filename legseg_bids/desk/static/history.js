/* Undo and redo: a line of edits, a place on it, which place is the one that was saved, and which
   one is on its way to the program (`sent`). A place that cannot be reached any more is null. */

import { apply } from "./drawing.js";

const weight = ({ indices }) => indices.length * 6 + 64;

/* Where a place is when the oldest edit is forgotten. */
const earlier = (place) => (place > 0 ? place - 1 : null);

const toText = (bytes) => {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) {
    text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  }
  return btoa(text);
};
const toBytes = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

/** An edit as text: runs of indices, values in base 64. */
function packed({ indices, before, after, name }) {
  const runs = [];
  indices.forEach((index, i) => {
    if (i && index === indices[i - 1] + 1) runs[runs.length - 1] += 1;
    else runs.push(index, 1);
  });
  return { runs, before: toText(before), after: toText(after), name };
}

function unpacked({ runs, before, after, name }) {
  const indices = [];
  for (let i = 0; i < runs.length; i += 2) {
    for (let k = 0; k < runs[i + 1]; k++) indices.push(runs[i] + k);
  }
  const edit = { indices: Uint32Array.from(indices), before: toBytes(before), after: toBytes(after) };
  return { ...edit, name };
}

export class History {
  /** `limit`: bytes that edits may take; the oldest are forgotten first. */
  constructor(limit = 64e6) {
    this.limit = limit;
    this.edits = [];
    this.position = 0;
    this.saved = 0;
    this.sent = null;
  }

  get canUndo() { return this.position > 0; }
  get canRedo() { return this.position < this.edits.length; }
  get isSaved() { return this.saved === this.position; }
  get undoName() { return this.edits[this.position - 1]?.name ?? ""; }
  get redoName() { return this.edits[this.position]?.name ?? ""; }

  /** Remember an edit that was applied already. */
  push(edit) {
    if (!edit.indices.length) return;
    if (this.saved > this.position) this.saved = null;
    if (this.sent > this.position) this.sent = null;
    this.edits.splice(this.position, Infinity, edit);
    this.position += 1;
    let bytes = this.edits.reduce((sum, one) => sum + weight(one), 0);
    while (bytes > this.limit && this.edits.length > 1) {
      bytes -= weight(this.edits.shift());
      this.position -= 1;
      this.saved = earlier(this.saved);
      this.sent = earlier(this.sent);
    }
  }

  /** Take the last edit out of the labels; it is returned, or null. */
  undo(labels) {
    if (!this.canUndo) return null;
    this.position -= 1;
    apply(labels, this.edits[this.position], true);
    return this.edits[this.position];
  }

  /** Put it in again. */
  redo(labels) {
    if (!this.canRedo) return null;
    apply(labels, this.edits[this.position]);
    this.position += 1;
    return this.edits[this.position - 1];
  }

  /** The labels of `position` are on the server now. */
  markSaved(position = this.position) {
    this.saved = position;
    this.sent = null;
  }

  /** Whether labels are what the edits up to here make: those of another window are not. */
  leadsTo(labels) {
    const known = new Set();
    for (let i = this.position - 1; i >= 0; i--) {
      const { indices, after } = this.edits[i];
      for (let k = 0; k < indices.length; k++) {
        if (known.has(indices[k])) continue;
        known.add(indices[k]);
        if (labels[indices[k]] !== after[k]) return false;
      }
    }
    return true;
  }

  /** As text that survives a reload; the oldest edits are left out if it is too long. */
  pack(most = 2e6) {
    const edits = this.edits.map(packed);
    let { position, saved, sent } = this;
    const size = (edit) => edit.runs.length * 6 + edit.before.length * 2;
    let bytes = edits.reduce((sum, edit) => sum + size(edit), 0);
    while (bytes > most && edits.length) {
      bytes -= size(edits.shift());
      position -= 1;
      saved = earlier(saved);
      sent = earlier(sent);
    }
    if (position < 0) return JSON.stringify({ edits: [], position: 0, saved: null, sent: null });
    return JSON.stringify({ edits, position, saved, sent });
  }

  /** Read what `pack` wrote, and bring labels as they were saved to where the person was.

      `arrived`: the labels are those that were on their way.
      @returns {History|null} null if the text does not lead from these labels to that place. */
  static unpack(text, labels, arrived = false) {
    const { edits, position, saved, sent } = JSON.parse(text);
    const place = arrived ? sent : saved;
    if (place === null) return null;
    const history = new History();
    history.edits = edits.map(unpacked);
    history.position = place;
    history.saved = place;
    if (!history.leadsTo(labels)) return null;
    while (history.position < position) history.redo(labels);
    while (history.position > position) history.undo(labels);
    return history;
  }
}

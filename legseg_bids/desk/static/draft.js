/* The draft: what was drawn goes to the program a moment after each change, under a number.

   If another window was quicker the program refuses (409), and the person chooses. While the line
   is dead the page keeps everything, also across a reload (History.pack in the session's storage). */

import { getBytes, isUp, onLine, projectPath, request, Refused, Unreachable } from "./api.js";
import { gzip } from "./nifti.js";
import { History } from "./history.js";

const PAUSE = 800;

export class Draft {
  /** `on`: { state(text, kind), conflict(revision) }; `written()` gives the label file as it is. */
  constructor(project, id, written, on) {
    this.path = projectPath(project, "results", id, "draft");
    this.key = `legseg-desk ${project} ${id}`;
    this.written = written;
    this.on = on;
    this.history = new History();
    this.revision = 0;
    this.stopped = false; // a conflict (with the draft `foreign`) waits for its answer
    this.foreign = null;
    this.exists = false;
    this.busy = null;
    this.off = onLine(({ up, allowed }) => { if (up && allowed) this.later(0); });
  }

  /** The draft on the server as packed bytes, or null; the number is remembered. */
  async read() {
    const response = await request("GET", this.path);
    this.revision = Number(response.headers.get("X-Revision") ?? 0);
    this.exists = response.status !== 204;
    return this.exists ? new Uint8Array(await response.arrayBuffer()) : null;
  }

  /** Go on where this tab was when it was reloaded: true if there was more than the server knows. */
  restore(labels) {
    try {
      const kept = JSON.parse(sessionStorage.getItem(this.key) ?? "null");
      const arrived = kept?.revision + 1 === this.revision; // its answer came too late for the page
      if (!kept || !(arrived || kept.revision === this.revision)) return false;
      const history = History.unpack(kept.history, labels, arrived);
      if (!history) return false;
      this.history = history;
      return !history.isSaved;
    } catch {
      return false;
    }
  }

  keep() {
    try {
      sessionStorage.setItem(this.key, JSON.stringify({ revision: this.revision, history: this.history.pack() }));
    } catch {
      sessionStorage.removeItem(this.key); // full: undo ends at a reload, the draft does not
    }
  }

  /** Something was drawn, undone or redone. */
  changed() {
    this.keep();
    this.later(PAUSE);
  }

  later(pause) {
    clearTimeout(this.timer);
    if (this.stopped) { this.on.state("Not saved: changed elsewhere, “Save…” asks again", "bad"); return; }
    if (this.history.isSaved) { this.on.state(this.exists ? "Draft saved" : "", "good"); return; }
    this.on.state(isUp() ? "Saving the draft…" : "Not saved yet: the program does not answer", isUp() ? "" : "bad");
    if (isUp()) this.timer = setTimeout(() => { this.save().catch(() => null); }, pause);
  }

  /** Bring the draft up to date now; resolves when the server has it. */
  async save() {
    clearTimeout(this.timer);
    while (this.busy) await this.busy.catch(() => null);
    if (this.stopped || this.history.isSaved) return;
    this.busy = this.send();
    try { await this.busy; } finally { this.busy = null; }
    if (!this.history.isSaved) this.later(PAUSE);
  }

  async send() {
    const { position, edits } = this.history;
    const last = edits[position - 1];
    this.history.sent = position;
    this.keep();
    try {
      const body = await gzip(this.written());
      const response = await request("PUT", this.path, { body, headers: { "If-Match": String(this.revision) } });
      this.revision = (await response.json()).revision;
      this.exists = true;
      // The person may have gone on meanwhile: the saved place is where that edit is now.
      const place = position === 0 ? 0 : this.history.edits.indexOf(last) + 1;
      this.history.markSaved(position === 0 || place > 0 ? place : null);
      this.keep();
      this.on.state("Draft saved", "good");
    } catch (error) {
      if (error instanceof Refused && error.status === 409) {
        this.stopped = true;
        this.foreign = error.body?.revision ?? this.revision + 1;
        this.later(0);
        this.on.conflict(this.foreign);
      } else if (error instanceof Unreachable) {
        this.on.state("Not saved yet: the program does not answer", "bad");
      } else {
        this.on.state(`Not saved: ${error.message}`, "bad");
        this.timer = setTimeout(() => { this.save().catch(() => null); }, 10000);
      }
      throw error;
    }
  }

  /** The person keeps this version: it follows the other one. */
  async override(revision) {
    this.revision = revision;
    this.stopped = false;
    this.history.saved = null;
    await this.save();
  }

  /** Give up the draft, here and on the server. */
  async drop() {
    clearTimeout(this.timer);
    while (this.busy) await this.busy.catch(() => null);
    if (this.exists) await request("DELETE", this.path, { headers: { "If-Match": String(this.revision) } });
    this.forget();
    await this.read();
  }

  forget() {
    sessionStorage.removeItem(this.key);
    this.history = new History();
    this.stopped = false;
  }

  close() {
    clearTimeout(this.timer);
    this.off();
  }
}

export const labelsOf = (project, id) => getBytes(projectPath(project, "results", id, "labels.nii.gz"));

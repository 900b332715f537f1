/* One result: the picture, its structures and numbers, and the tools to correct it. */

import { Bench, OPACITY } from "./bench.js";
import { get, getSession, post, projectPath, request } from "./api.js";
import { middleOf } from "./drawing.js";
import { Draft, labelsOf } from "./draft.js";
import { $, ask, h, plural, show, tell } from "./dom.js";
import { actionOf } from "./keys.js";
import { Measures } from "./measures.js";
import { gunzip } from "./nifti.js";
import { askToSave, resolveConflict } from "./saving.js";
import { Structures } from "./structures.js";
import { Tally } from "./tally.js";
import { Tools } from "./tools.js";
import { Viewer } from "./viewer.js";

/** Show a result; the person may leave when what was drawn is safe. */
export async function result(trail, project, id) {
  const [facts, state, results] = await Promise.all([
    getSession(), get(projectPath(project)), get(projectPath(project, "results"))]);
  const one = results.find((other) => String(other.id) === id);
  const back = `#/project/${encodeURIComponent(project)}`;
  if (!one) throw new Error("This result is not here any more. Go back to the project and choose another one.");
  trail(["Projects", "#/"], [state.name, back], [one.title || one.image, ""]);
  const desk = new Desk(project, one, facts);
  document.body.classList.add("desk");
  show(desk.element);
  $("#actions").replaceChildren(...desk.bench.actions);
  try {
    await desk.start();
  } catch (error) {
    desk.close();
    const viewer = error.status || error.name === "Unreachable" ? "" : " The viewer needs WebGL 2 and a browser of 2023 or later.";
    error.message += viewer;
    throw error;
  }
  return () => desk.leave();
}

class Desk {
  constructor(project, one, facts) {
    Object.assign(this, { project, one, facts });
    this.opacity = OPACITY;
    this.edges = false;
    this.labelsShown = true;
    this.structures = new Structures(facts.structures, {
      choose: (index, go) => this.chosen(index, go), seen: () => this.recolour(),
    });
    this.measures = new Measures(project, one.id, (index) => this.structures.choose(index, true));
    this.bench = new Bench(one.title || one.image, [this.structures.element, this.measures.element], {
      act: (action) => this.act(action),
      size: (size) => { this.tools.size = size; this.sizeChanged(); },
      protect: (is) => { this.tools.protect = is; },
      inBody: (is) => { this.tools.inBody = is; },
      drop: () => this.dropDraft(),
      slice: (at) => {
        const voxel = this.viewer.here();
        voxel[this.viewer.axis] = at;
        this.viewer.move(voxel);
      },
      opacity: (share) => { this.opacity = share; this.blend(); },
      labels: (are) => { this.labelsShown = are; this.blend(); },
      edges: (are) => { this.edges = are; this.blend(); },
      layout: (name) => this.show(name),
      picture: () => this.picture(),
    });
    this.element = this.bench.element;
    this.element.inert = true; // until there is something to act on
    this.over = new AbortController();
  }

  /* ---- beginning and ending ---- */

  async start() {
    const path = projectPath(this.project, "results", this.one.id);
    const [answer, labels] = await Promise.all([request("GET", `${path}/image.nii.gz`), labelsOf(this.project, this.one.id)]);
    this.viewer = await Viewer.open(this.bench.canvas, new Uint8Array(await answer.arrayBuffer()), labels);
    const problem = decodeURIComponent(answer.headers.get("X-Problem") ?? "");
    if (problem) tell(`The image cannot be shown: ${problem}`, "bad");
    this.settle();
    this.tools = new Tools(this.viewer, {
      edited: (edit) => this.edited(edit), picked: (index) => this.structures.choose(index),
      refused: (text) => tell(text, "bad"), hover: (place) => this.hover(place),
      tool: () => this.toolChanged(), size: () => this.sizeChanged(),
    });
    this.viewer.onMove = (voxel) => this.read(voxel);
    this.draft = new Draft(this.project, this.one.id, () => this.viewer.written(), {
      state: (text, kind) => { this.bench.state.textContent = text; this.bench.state.className = kind; },
      conflict: (revision) => this.conflict(revision),
    });
    const { signal } = this.over;
    addEventListener("keydown", (event) => this.key(event), { signal });
    addEventListener("pagehide", () => this.draft.keep(), { signal });
    addEventListener("beforeunload", (event) => { if (!this.draft.history.isSaved) { this.draft.save().catch(() => null); event.preventDefault(); } }, { signal });
    document.addEventListener("visibilitychange", () => { if (document.hidden) this.draft.save().catch(() => null); }, { signal });
    await this.readDraft();
    this.choosing();
    this.recolour();
    this.blend();
    this.toolChanged();
    this.sizeChanged();
    $("#loading").remove();
    this.measures.read();
    this.element.desk = this; // for tests, and for the curious
    this.element.dataset.ready = "";
    this.element.inert = false;
    if (document.activeElement === document.body) this.bench.canvas.focus({ preventScroll: true });
  }

  async readDraft() {
    const draft = await this.draft.read();
    if (draft) this.viewer.load(await gunzip(draft));
    const more = this.draft.restore(this.viewer.labels);
    this.viewer.changed();
    this.tally = new Tally(this.viewer.grid, this.viewer.labels, this.saved);
    if (draft || more) tell("Your unsaved correction was taken up again.");
    this.refresh();
    this.draft.later(0);
  }

  /** Begin where there is most to see. */
  choosing() {
    const first = this.facts.structures.find(({ index, tissue }) => this.before[index] > 0 && tissue === "muscle");
    const middle = this.viewer.grid.size.map((n) => Math.floor(n / 2));
    this.viewer.move(middle);
    if (first) this.structures.choose(first.index, true);
    this.structures.measure(this.volumes(), this.before);
  }

  async leave() {
    if (this.draft && !this.draft.history.isSaved) {
      await this.draft.save().catch(() => null);
      if (!this.draft.history.isSaved) this.draft.keep();
    }
    this.close();
    return true;
  }

  close() {
    this.over.abort();
    this.draft?.close();
    this.tools?.close();
    this.viewer?.close();
    document.body.classList.remove("desk");
  }

  /* ---- what is shown ---- */

  volumes() { return this.tally.volumes(); }

  /** The labels of the page are what is saved from now on. */
  settle() {
    this.saved = this.viewer.labels.slice();
    this.tally = new Tally(this.viewer.grid, this.viewer.labels, this.saved);
    this.before = this.volumes();
  }

  recolour() { this.viewer.colour(this.structures.colors, this.structures.isVisible); }

  blend() {
    this.bench.labelsInput.checked = this.labelsShown;
    this.bench.edgesInput.checked = this.edges;
    this.viewer.blend(this.labelsShown ? this.opacity : 0, this.edges);
  }

  show(layout) {
    this.bench.layout.value = layout;
    this.viewer.show(layout);
    this.read(this.viewer.here());
  }

  read(voxel, staying = true) {
    const { grid, labels } = this.viewer;
    const [x, y, z] = voxel;
    const index = labels[x + grid.size[0] * (y + grid.size[1] * z)];
    const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = index ? this.structures.colors[index] ?? "#ff00ff" : "transparent";
    this.bench.readout.replaceChildren(swatch, this.structures.name(index),
      h("span", { class: "hint" }, ` · slice ${z + 1} of ${grid.size[2]}`));
    this.bench.readout.dataset.index = index;
    this.bench.readout.setAttribute("aria-live", staying ? "polite" : "off");
    if (!staying) return;
    const { axis } = this.viewer;
    this.bench.slice.max = grid.size[axis];
    this.bench.slice.value = voxel[axis] + 1;
    this.bench.slice.setAttribute("aria-valuetext", `${voxel[axis] + 1} of ${grid.size[axis]}: ${this.structures.name(index)}`);
  }

  hover(place) {
    const drawing = this.tools.isDrawing && place?.voxel && !["pan", "window"].includes(this.tools.drag?.kind);
    const at = drawing ? this.viewer.placeOf(place.voxel, place.axis) : null;
    this.bench.showRing(at, at ? (this.tools.size / 2) * place.perMm : 0);
    this.read(place?.voxel ?? this.viewer.here(), !place?.voxel);
  }

  toolChanged() {
    this.bench.showTool(this.tools.tool);
    if (!this.tools.isDrawing) this.bench.showRing(null);
  }

  sizeChanged() { this.bench.showSize(this.tools.size); }

  chosen(index, go) {
    this.tools.value = index;
    this.measures.mark(index);
    const place = go ? middleOf(this.viewer.grid, this.viewer.labels, index) : null;
    if (place) this.viewer.move(place);
    else if (go) tell(`${this.structures.name(index)} is not in this image. You can draw it.`);
  }

  /** Buttons and numbers after the labels changed. */
  refresh() {
    const { history } = this.draft;
    this.bench.showStep("undo", history.canUndo, history.undoName);
    this.bench.showStep("redo", history.canRedo, history.redoName);
    const changed = this.tally.differing > 0;
    this.bench.saveButton.disabled = !changed;
    this.bench.dropButton.hidden = !changed;
    this.measures.stale(changed);
    this.structures.measure(this.volumes(), this.before);
  }

  /* ---- changes ---- */

  edited(edit) {
    this.draft.history.push(edit);
    this.tally.take(edit);
    this.after();
  }

  after() {
    this.refresh();
    this.draft.changed();
    this.read(this.viewer.here());
  }

  undo(again) {
    const { history } = this.draft;
    const edit = again ? history.redo(this.viewer.labels) : history.undo(this.viewer.labels);
    if (!edit) return;
    this.viewer.changed(edit.indices);
    this.tally.take(edit, !again);
    this.after();
    tell(`${again ? "Redone" : "Undone"}: ${edit.name || "a change"}`);
  }

  async between() {
    const gap = this.tools.value ? this.tools.gap() : null;
    if (!gap) {
      tell("Draw the structure in a slice below and in one above this slice first.", "bad");
      return;
    }
    const name = this.structures.name(this.tools.value);
    const last = this.viewer.grid.size[2];
    const field = (label, value) => {
      const input = h("input", { type: "number", min: 1, max: last, value, required: true });
      return [input, h("label", {}, `${label} `, input)];
    };
    const [[low, lowLabel], [high, highLabel]] = [field("From slice", gap[0] + 1), field("to slice", gap[1] + 1)];
    const answer = await ask("Fill in between two slices", [
      h("p", {}, h("strong", {}, name), " is drawn anew in the slices between these two, from its outlines in them. Undo takes it back."),
      h("div", { class: "row" }, lowLabel, highLabel)], [["", "Cancel"], ["go", "Fill in", "main"]]);
    if (answer !== "go") return;
    try {
      this.tools.between(Number(low.value) - 1, Number(high.value) - 1);
    } catch (error) {
      tell(error.message, "bad");
    }
    this.bench.canvas.focus();
  }

  /** Show the labels as they were saved, as long as the key is held. */
  compare() {
    if (this.viewer.instead) return; // a key that is held says so again and again
    this.viewer.peek(this.saved);
    tell("The labels as they were saved. Let go of the key to see yours.");
    const ends = new AbortController();
    const over = () => { ends.abort(); this.viewer.peek(null); };
    for (const name of ["keyup", "blur"]) addEventListener(name, over, { signal: ends.signal });
  }

  async picture() {
    const link = h("a", { download: `${(this.one.title || this.one.id).replace(/\W+/g, "_")}.png`, href: URL.createObjectURL(await this.viewer.picture()) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  /* ---- saving ---- */

  changes() {
    const now = this.volumes();
    return this.facts.structures.filter(({ index }) => Math.abs(now[index] - this.before[index]) > 1e-9)
      .map(({ index, name }) => ({ name, before: this.before[index], after: now[index] }));
  }

  async save() {
    if (this.bench.saveButton.disabled) return;
    if (this.draft.stopped) { await this.conflict(this.draft.foreign); return; }
    const asked = await askToSave(this.changes());
    if (!asked) return;
    this.element.inert = true; // what is drawn now would be in neither version
    this.bench.saveButton.disabled = true;
    try {
      await this.draft.save();
      if (!this.draft.history.isSaved) return; // a conflict: its dialog is open
      this.bench.state.textContent = "Measuring anew…";
      const saved = await post(projectPath(this.project, "results", this.one.id, "correction"), asked);
      this.draft.forget();
      await this.draft.read();
      this.settle();
      tell(`Saved: ${plural(saved?.changed_voxels ?? 0, "voxel")} differ from the automatic result.`);
      this.measures.read();
    } catch (error) {
      if (!this.draft.stopped) tell(`The correction was not saved: ${error.message}`, "bad");
    } finally {
      this.element.inert = false;
    }
    this.refresh();
    this.draft.later(0);
  }

  async dropDraft() {
    const answer = await ask("Discard your changes?", h("p", {}, "The labels become again what was last saved. This cannot be undone."),
      [["", "Keep them"], ["drop", "Discard", "danger"]]);
    if (answer !== "drop") return;
    try {
      await this.draft.drop();
      await this.reload();
      tell("Your changes were discarded.");
    } catch (error) {
      tell(error.message, "bad");
    }
  }

  /** The labels of the server, without any changes of this page. */
  async reload() {
    this.viewer.load(await gunzip(await labelsOf(this.project, this.one.id)));
    this.settle();
    await Promise.all([this.readDraft(), this.measures.read()]);
    this.read(this.viewer.here());
  }

  async conflict(revision) {
    const answer = await resolveConflict();
    try {
      if (answer === "mine") await this.draft.override(revision);
      else if (answer === "theirs") {
        this.draft.forget();
        await this.reload();
      } else return; // later: “Save…” asks again
    } catch (error) {
      if (error.status !== 409) tell(error.message, "bad");
    }
    this.refresh();
  }

  /* ---- keys ---- */

  key(event) {
    const action = actionOf(event);
    if (!action) return;
    if (action === "help") return; // the page as a whole listens to that
    event.preventDefault();
    this.act(action);
  }

  act(action) {
    if (!this.tools) return;
    const { viewer, tools, structures } = this;
    const [across, along] = { 2: [[-1, 0, 0], [0, 1, 0]], 1: [[-1, 0, 0], [0, 0, 1]], 0: [[0, -1, 0], [0, 0, 1]] }[viewer.axis];
    const go = (way, sign) => viewer.move(viewer.here().map((v, i) => v + sign * way[i]));
    const does = {
      left: () => go(across, -1), right: () => go(across, 1), up: () => go(along, 1), down: () => go(along, -1),
      next: () => tools.step(1), previous: () => tools.step(-1),
      in: () => viewer.zoom(1.25), out: () => viewer.zoom(0.8), reset: () => viewer.reset(),
      lighter: () => viewer.shade(-1, 0), darker: () => viewer.shade(1, 0), more: () => viewer.shade(0, -1), less: () => viewer.shade(0, 1),
      smaller: () => tools.resize(-1), larger: () => tools.resize(1), use: () => tools.use(),
      between: () => this.between(), undo: () => this.undo(false), redo: () => this.undo(true), save: () => this.save(),
      toggle: () => { this.labelsShown = !this.labelsShown; this.blend(); },
      edges: () => { this.edges = !this.edges; this.blend(); },
      solo: () => structures.solo(), hide: () => structures.toggle(structures.current),
      compare: () => this.compare(),
      search: () => { $("#tab-structures").click(); $("#search").focus(); },
    };
    if (action.startsWith("layout-")) this.show(action.slice(7));
    else if (does[action]) does[action]();
    else tools.choose(action);
  }
}

/* Hand on the picture: what mouse, pen and keys do with the tool that is chosen. */

import { apply, bodyMask, indexOf, interpolated, joined, neighbours, painted, region, slicesWith, stroke } from "./drawing.js";

export const TOOLS = ["look", "brush", "eraser", "fill", "pick"];
export const SIZES = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40];

export class Tools {
  /** `on`: { edited(edit), picked(index), refused(text), hover(place), tool(), size() }. */
  constructor(viewer, on) {
    this.viewer = viewer;
    this.on = on;
    this.tool = "look";
    this.size = 6; // diameter in mm
    this.value = 0; // label that is drawn
    this.protect = true;
    this.inBody = false;
    this.drawn = new Map(); // label -> axial slices in which it was drawn
    this.drag = null;
    this.closing = new AbortController();
    this.listen();
  }

  listen() {
    const { canvas } = this.viewer;
    const { signal } = this.closing;
    const on = (name, handler) => canvas.addEventListener(name, handler, { signal, passive: false });
    on("pointerdown", (event) => this.down(event));
    on("pointermove", (event) => this.move(event));
    on("pointerup", (event) => this.up(event));
    on("pointercancel", (event) => this.up(event));
    on("pointerleave", () => { if (!this.drag) this.on.hover(null); });
    on("wheel", (event) => this.wheel(event));
    on("contextmenu", (event) => event.preventDefault());
  }

  close() { this.closing.abort(); }

  choose(tool) {
    this.finish();
    this.tool = tool;
    this.on.tool();
  }

  resize(step) {
    const at = SIZES.findIndex((size) => size >= this.size);
    this.size = SIZES[Math.min(Math.max(at + step, 0), SIZES.length - 1)];
    this.on.size();
  }

  get isDrawing() { return this.tool === "brush" || this.tool === "eraser"; }

  /** Which voxels may be changed. */
  rules() {
    const mask = this.inBody && this.tool !== "eraser" ? this.body() : null;
    if (!this.protect) return { only: null, mask };
    return { only: new Set(this.tool === "eraser" ? [this.value] : [0, this.value]), mask };
  }

  body() {
    this.mask ??= bodyMask(this.viewer.grid, this.viewer.values());
    return this.mask;
  }

  /* ---- pointer ---- */

  place(event) {
    const box = this.viewer.canvas.getBoundingClientRect();
    return this.viewer.at(event.clientX - box.left, event.clientY - box.top);
  }

  down(event) {
    const place = this.place(event);
    if (!place || this.drag) return;
    event.preventDefault();
    this.viewer.canvas.focus({ preventScroll: true });
    this.viewer.canvas.setPointerCapture(event.pointerId);
    const kind = event.button === 2 ? "window"
      : event.button === 1 || event.shiftKey ? "pan"
        : event.altKey ? "pick" : this.tool;
    this.drag = { kind, place, x: event.clientX, y: event.clientY, window: this.viewer.window, edits: [] };
    if (!place.voxel || kind === "window" || kind === "pan") return;
    if (kind === "look") this.viewer.move(place.voxel);
    else if (kind === "pick") this.pick(place.voxel);
    else if (kind === "fill") this.fill(place);
    else this.dab(place.voxel, place.voxel);
    this.drag.last = place.voxel;
  }

  move(event) {
    const place = this.place(event);
    this.on.hover(place);
    if (!this.drag) return;
    const { drag } = this;
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    if (drag.kind === "window") {
      const [low, high] = drag.window;
      const unit = (this.viewer.usual[1] - this.viewer.usual[0]) / 300;
      const half = Math.max((high - low) / 2 + dx * unit, unit);
      const level = (low + high) / 2 + dy * unit;
      this.viewer.setWindow(level - half, level + half);
    } else if (drag.kind === "pan") {
      this.viewer.pan(dx, dy, drag.place);
      [drag.x, drag.y] = [event.clientX, event.clientY];
    } else if (place?.voxel && place.axis === drag.place.axis) {
      if (drag.kind === "look") this.viewer.move(place.voxel);
      else if (drag.kind === "brush" || drag.kind === "eraser") {
        this.dab(drag.last ?? place.voxel, place.voxel);
        drag.last = place.voxel;
      }
    }
  }

  up(event) {
    if (!this.drag) return;
    if (event.type === "pointerup" && this.drag.last && this.isDrawing) this.viewer.move(this.drag.last);
    this.finish();
  }

  wheel(event) {
    event.preventDefault();
    const place = this.place(event);
    const way = Math.sign(event.deltaY || event.deltaX);
    if (!place || !way) return;
    if (event.ctrlKey || event.metaKey) this.viewer.zoom(way < 0 ? 1.15 : 1 / 1.15, place.voxel ?? undefined);
    else if (event.shiftKey) this.resize(way < 0 ? 1 : -1);
    else this.step(way < 0 ? 1 : -1, place.axis);
  }

  step(by, axis = this.viewer.axis) {
    const voxel = this.viewer.here();
    voxel[axis] += by;
    this.viewer.move(voxel);
  }

  /* ---- drawing ---- */

  /** One piece of a stroke: applied at once, remembered as a whole when the stroke ends. */
  dab(from, to) {
    if (!this.value) { this.on.refused("Choose a structure first: in the list, or with Alt + click in the image."); return; }
    const { grid, labels } = this.viewer;
    const axis = this.drag?.place.axis ?? this.viewer.axis;
    const start = [...from];
    start[axis] = to[axis];
    const indices = stroke(grid, start, to, axis, this.size / 2);
    const edit = painted(labels, indices, this.tool === "eraser" ? 0 : this.value, this.rules());
    apply(labels, edit);
    this.drag?.edits.push(edit);
    this.viewer.changed(edit.indices);
    return edit;
  }

  finish() {
    const { drag } = this;
    this.drag = null;
    if (!drag?.edits.length) return;
    this.done(joined(drag.edits), this.tool === "eraser" ? "erasing" : "a stroke", drag.place.axis, drag.last);
  }

  /** Tell of an edit that is applied already. */
  done(edit, name, axis = 2, at = null) {
    if (!edit.indices.length) {
      if (name !== "erasing") this.on.refused(this.protect ? "Nothing changed: other structures are protected." : "Nothing changed.");
      return;
    }
    if (axis === 2 && at) {
      const slices = this.drawn.get(this.value) ?? new Set();
      this.drawn.set(this.value, slices.add(at[2]));
    }
    this.on.edited({ ...edit, name });
  }

  fill({ voxel, axis }) {
    if (!this.value) { this.dab(voxel, voxel); return; }
    const { grid, labels } = this.viewer;
    const found = region(grid, labels, voxel, axis);
    const old = labels[indexOf(grid, voxel)];
    if (old === 0 && found.open) {
      this.on.refused("The outline is not closed here: the region reaches the border of the image.");
      return;
    }
    const rules = this.rules(); // a click on a structure means that structure: it is not protected
    const edit = painted(labels, found.indices, this.value, { ...rules, only: null });
    apply(labels, edit);
    this.viewer.changed(edit.indices);
    this.done(edit, "filling", axis, voxel);
  }

  pick(voxel) {
    const index = this.viewer.labels[indexOf(this.viewer.grid, voxel)];
    this.viewer.move(voxel);
    if (index) this.on.picked(index);
    else this.on.refused("There is no structure here.");
  }

  /** The tool at the cross: for those who use the keys. */
  use() {
    const voxel = this.viewer.here();
    const axis = this.viewer.axis;
    if (this.tool === "pick") this.pick(voxel);
    else if (this.tool === "fill") this.fill({ voxel, axis });
    else if (this.isDrawing) {
      const edit = this.dab(voxel, voxel);
      if (edit) this.done(edit, this.tool === "eraser" ? "erasing" : "a dab", axis, voxel);
    }
  }

  /** Slices between which the current structure could be filled in, or null. */
  gap() {
    const { grid, labels } = this.viewer;
    const slices = slicesWith(grid, labels, this.value, 2);
    return neighbours(slices, this.drawn.get(this.value) ?? new Set(), this.viewer.here()[2]);
  }

  between(low, high) {
    const { grid, labels } = this.viewer;
    const tool = this.tool;
    this.tool = "brush";
    const edit = interpolated(grid, labels, this.value, 2, low, high, this.rules());
    this.tool = tool;
    apply(labels, edit);
    this.viewer.changed(edit.indices);
    this.done(edit, `slices ${low + 2} to ${high}`);
  }
}

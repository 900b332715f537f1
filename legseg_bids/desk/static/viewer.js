/* The picture: NiiVue shows image and labels; which voxel is where; nothing is drawn here.

   The labels are NiiVue's drawing: one byte per voxel, on the canonical grid of the image, with a
   table of colours. So a stroke costs one small upload to the graphics card. */

import { inPlane } from "./drawing.js";
import { gunzip, headerOf, readLabels, writeLabels } from "./nifti.js";

let library = null;
function niivue() {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/static/vendor/niivue.umd.js";
    script.onload = () => resolve(globalThis.niivue);
    script.onerror = () => { library = null; reject(new Error("The viewer could not be loaded.")); };
    document.head.append(script);
  });
  return library;
}

/* NiiVue's numbers of the planes, by the axis that stands on them. */
const PLANE = { 2: 0, 1: 1, 0: 2 };
const AXIS = [2, 1, 0];

/* Where each plane is drawn: [axis, left, top, width, height] as shares of the canvas. */
const ALONE = { axial: 2, coronal: 1, sagittal: 0 };
const BESIDE = [[2, 0, 0, 0.7, 1], [1, 0.7, 0, 0.3, 0.5], [0, 0.7, 0.5, 0.3, 0.5]];
const BELOW = [[2, 0, 0, 1, 0.66], [1, 0, 0.66, 0.55, 0.34], [0, 0.55, 0.66, 0.45, 0.34]];
const PAD = 0.003;

/** The tiles of a layout; with three planes, so that the slice is drawn as large as possible. */
export function tilesOf(layout, { size, spacing }, [width, height]) {
  if (layout in ALONE) return [[ALONE[layout], 0, 0, 1, 1]];
  const scale = ([, , , w, h]) => Math.min((w * width) / (size[0] * spacing[0]), (h * height) / (size[1] * spacing[1]));
  return scale(BESIDE[0]) >= scale(BELOW[0]) ? BESIDE : BELOW;
}

export class Viewer {
  /** Show an image; `labels` are the (packed) bytes of a label file on the same grid. */
  static async open(canvas, image, labels) {
    const { Niivue, NVImage } = await niivue();
    const viewer = new Viewer();
    viewer.canvas = canvas;
    const nv = new Niivue({
      backColor: [0, 0, 0, 1], crosshairColor: [1, 0.85, 0, 0.55], crosshairWidth: 1,
      crosshairWidthUnit: "mm", isRadiologicalConvention: true, sagittalNoseLeft: true,
      interactive: false, dragAndDropEnabled: false, loadingText: "", logLevel: "error",
      isOrientationTextVisible: true, showAllOrientationMarkers: true, fontColor: [0.85, 0.85, 0.85, 1], fontSizeScaling: 0.3, show3Dcrosshair: false,
    });
    await nv.attachToCanvas(canvas);
    viewer.nv = nv;
    viewer.layout = "all";
    viewer.fitTiles();
    const file = await gunzip(labels);
    headerOf(file); // says so if these are no labels
    const [shown, hidden] = await Promise.all([["image.nii", await gunzip(image)], ["labels.nii", file]]
      .map(([name, bytes]) => NVImage.loadFromFile({ file: new File([bytes], name), colormap: "gray" })));
    nv.addVolume(shown);
    viewer.turn = turnOf(hidden);
    const size = shown.dimsRAS.slice(1, 4);
    if (size.some((n, i) => n !== viewer.turn.size[i])) {
      throw new Error(`The labels (${viewer.turn.size.join(" × ")}) are not on the grid of the image (${size.join(" × ")}).`);
    }
    viewer.grid = { size, spacing: shown.pixDimsRAS.slice(1, 4) };
    nv.createEmptyDrawing();
    viewer.load(file);
    [viewer.usual, viewer.range] = [[shown.cal_min, shown.cal_max], [shown.global_min, shown.global_max]];
    viewer.show("all");
    viewer.sizes = new ResizeObserver(() => viewer.show(viewer.layout));
    viewer.sizes.observe(canvas);
    return viewer;
  }

  get labels() { return this.nv.drawBitmap; }

  /** Take the labels of a file (of the same grid as the first). */
  load(file) {
    this.nv.drawBitmap = readLabels(file, this.turn);
    this.file = file;
    this.changed();
  }

  /** The file with the labels as they are now. */
  written() { return writeLabels(this.file, this.labels, this.turn); }

  /** Values of the image on the canonical grid. */
  values() {
    const { img } = this.nv.volumes[0];
    const { size, step, start } = turnOf(this.nv.volumes[0]);
    const found = new Float32Array(size[0] * size[1] * size[2]);
    const base = start[0] + start[1] + start[2];
    let i = 0;
    for (let z = 0; z < size[2]; z++) {
      for (let y = 0; y < size[1]; y++) {
        for (let x = 0; x < size[0]; x++) found[i++] = img[base + x * step[0] + y * step[1] + z * step[2]];
      }
    }
    return found;
  }

  /* ---- drawing, at most once per frame ---- */

  /** Labels changed (those of an edit, or all): bring them to the graphics card, and draw. */
  changed(indices = null) {
    const plane = this.grid ? this.grid.size[0] * this.grid.size[1] : 0;
    if (indices && plane) {
      for (const index of indices) {
        const z = Math.floor(index / plane);
        this.dirty = this.dirty ? [Math.min(this.dirty[0], z), Math.max(this.dirty[1], z)] : [z, z];
      }
    } else this.dirty = [0, Infinity];
    this.redraw();
  }

  /** Show other labels instead; null: those that are drawn on. Nothing else knows of it. */
  peek(labels) {
    this.instead = labels;
    this.changed();
  }

  redraw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (!this.nv) return;
      if (this.dirty) this.upload(...this.dirty);
      this.dirty = null;
      this.nv.drawScene();
      this.onDrawn?.();
    });
  }

  upload(first, last) {
    const { nv } = this;
    const { gl } = nv;
    const [nx, ny, nz] = this.grid.size;
    const end = Math.min(last, nz - 1);
    gl.activeTexture(gl.TEXTURE7); // where NiiVue keeps its drawing
    gl.bindTexture(gl.TEXTURE_3D, nv.drawTexture);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texSubImage3D(gl.TEXTURE_3D, 0, 0, 0, first, nx, ny, end - first + 1, gl.RED, gl.UNSIGNED_BYTE,
      (this.instead ?? nv.drawBitmap).subarray(first * nx * ny, (end + 1) * nx * ny));
  }

  /** Colours by label, `{index: "#rrggbb"}`; a label that is not `visible(index)` is not drawn. */
  colour(colors, visible) {
    const lut = new Uint8ClampedArray(1024);
    for (let i = 1; i < 256; i++) {
      const color = colors[i] ?? "#ff00ff";
      lut.set([1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)), 4 * i);
      lut[4 * i + 3] = visible(i) ? 255 : 0;
    }
    this.nv.drawLut = { lut, labels: Array.from({ length: 256 }, (_, i) => String(i)) };
    this.nv.refreshColormaps();
    this.redraw();
  }

  /** How much of the labels is seen: 0 to 1, filled or (`edges`) as outlines. */
  blend(opacity, edges) {
    this.nv.drawOpacity = edges ? Math.min(opacity, 0.004) : opacity * 0.75;
    this.nv.drawRimOpacity = opacity === 0 ? -1 : edges ? Math.min(1, opacity + 0.3) : Math.min(1, opacity + 0.15);
    this.redraw();
  }

  /* ---- planes ---- */

  /* NiiVue fits a picture into its tile before it zooms: what lies beside it would stay black.
     Tiles are filled here instead, and the field of view is widened to their shape. */
  fitTiles() {
    const { nv } = this;
    const field = nv.screenFieldOfViewExtendedVox.bind(nv);
    nv.calculateWidthHeight = (plane, scale, width, height) => [width, height];
    nv.screenFieldOfViewExtendedVox = (plane) => {
      const found = field(plane);
      const tile = this.tiles?.find(([axis]) => axis === AXIS[plane]);
      if (!tile) return found;
      const want = (tile[3] * this.canvas.width) / (tile[4] * this.canvas.height);
      const times = [0, 1].map((i) => Math.max(1, i ? found.fovMM[0] / found.fovMM[1] / want : want * found.fovMM[1] / found.fovMM[0]));
      [0, 1].forEach((i) => {
        const middle = (found.mnMM[i] + found.mxMM[i]) / 2;
        found.fovMM[i] *= times[i] * 1.04;
        found.mnMM[i] = middle - found.fovMM[i] / 2;
        found.mxMM[i] = middle + found.fovMM[i] / 2;
      });
      return found;
    };
  }

  show(layout) {
    this.layout = layout;
    this.tiles = tilesOf(layout, this.grid, [this.canvas.clientWidth, this.canvas.clientHeight]);
    this.nv.setCustomLayout(this.tiles.map(([axis, left, top, width, height]) => ({
      sliceType: PLANE[axis],
      position: [left + (left ? PAD : 0), top + (top ? PAD : 0), width - (left ? PAD : 0), height - (top ? PAD : 0)],
    })));
    this.redraw();
  }

  /** The axis that stands on the largest plane. */
  get axis() { return this.tiles[0][0]; }

  here() { return [...this.nv.frac2vox(this.nv.scene.crosshairPos)]; }

  move(voxel) {
    const inside = voxel.map((v, i) => Math.min(Math.max(Math.round(v), 0), this.grid.size[i] - 1));
    this.nv.scene.crosshairPos = this.nv.vox2frac(inside);
    this.follow(inside);
    this.redraw();
    this.onMove?.(inside);
  }

  /* If a voxel has left the large picture, move the picture so that it is in the middle. */
  follow(voxel) {
    const [, , , zoom] = this.nv.scene.pan2Dxyzmm;
    const tile = this.nv.screenSlices.find(({ axCorSag }) => AXIS[axCorSag] === this.axis);
    if (zoom === 1 || !tile) return;
    const at = [...this.nv.frac2mm(this.nv.vox2frac(voxel))];
    const isOut = inPlane(this.axis).some((axis, i) => {
      const ends = [tile.leftTopMM[i], tile.leftTopMM[i] + tile.fovMM[i]];
      return at[axis] < Math.min(...ends) || at[axis] > Math.max(...ends);
    });
    if (!isOut) return;
    const middle = this.nv.frac2mm([0.5, 0.5, 0.5]);
    this.nv.scene.pan2Dxyzmm = [...[0, 1, 2].map((i) => middle[i] - at[i] * zoom), zoom];
  }

  scale() { return this.canvas.width / this.canvas.clientWidth; }

  /** What a place of the canvas shows: { voxel, axis, perMm }, or null. */
  at(x, y) {
    const scale = this.scale();
    const [px, py] = [x * scale, y * scale];
    for (const tile of this.nv.screenSlices) {
      const [left, top, width, height] = tile.leftTopWidthHeight;
      if (px < left || py < top || px >= left + width || py >= top + height) continue;
      const frac = this.nv.canvasPos2frac([px, py]);
      const axis = AXIS[tile.axCorSag];
      return {
        axis, voxel: frac[0] < 0 ? null : [...this.nv.frac2vox(frac)],
        perMm: width / Math.abs(tile.fovMM[0]) / scale,
      };
    }
    return null;
  }

  /** Where (CSS pixels of the canvas) a voxel is drawn in the plane of an axis, or null. */
  placeOf(voxel, axis) {
    const found = this.nv.frac2canvasPosWithTile(this.nv.vox2frac(voxel), PLANE[axis]);
    return found ? [...found.pos].map((v) => v / this.scale()) : null;
  }

  /** Come closer or go away; `voxel` stays where it is. */
  zoom(times, voxel = this.here()) {
    const pan = this.nv.scene.pan2Dxyzmm;
    const now = Math.min(Math.max(pan[3] * times, 1), 20);
    const at = this.nv.frac2mm(this.nv.vox2frac(voxel));
    const moved = now === 1 ? [0, 0, 0] : [0, 1, 2].map((i) => pan[i] + at[i] * (pan[3] - now));
    this.nv.scene.pan2Dxyzmm = [...moved, now];
    this.redraw();
  }

  /** Move the picture by CSS pixels within the plane of an axis. */
  pan(dx, dy, { axis, perMm }) {
    const pan = [...this.nv.scene.pan2Dxyzmm];
    const [a, b] = inPlane(axis);
    pan[a] -= (dx * pan[3]) / perMm; // as radiologists see it, and with the nose to the left: to the left
    pan[b] -= (dy * pan[3]) / perMm;
    this.nv.scene.pan2Dxyzmm = pan;
    this.redraw();
  }

  get window() { return [this.nv.volumes[0].cal_min, this.nv.volumes[0].cal_max]; }

  setWindow(low, high) {
    const volume = this.nv.volumes[0];
    volume.cal_min = low;
    volume.cal_max = Math.max(high, low + (this.range[1] - this.range[0]) / 1000);
    this.later ??= requestAnimationFrame(() => {
      this.later = null;
      if (this.nv) this.nv.updateGLVolume();
      this.onDrawn?.();
    });
  }

  /** Move the window up or down, or make it wider or narrower, by tenths of the usual one. */
  shade(up, wide) {
    const tenth = (this.usual[1] - this.usual[0]) / 10;
    const [low, high] = this.window;
    this.setWindow(low + (up - wide / 2) * tenth, high + (up + wide / 2) * tenth);
  }

  reset() {
    this.nv.scene.pan2Dxyzmm = [0, 0, 0, 1];
    this.setWindow(...this.usual);
  }

  /** The current picture as a PNG. */
  picture() {
    this.nv.drawScene();
    return new Promise((resolve) => { this.canvas.toBlob(resolve, "image/png"); });
  }

  close() {
    if (!this.nv) return;
    this.sizes?.disconnect();
    this.nv.cleanup();
    this.nv.gl.getExtension("WEBGL_lose_context")?.loseContext();
    this.nv = null;
  }
}

/** How a file's axes run, by NiiVue: canonical size, and step and start in the file's order. */
const turnOf = (image) => ({
  size: [...image.dimsRAS.slice(1, 4)], step: [...image.img2RASstep], start: [...image.img2RASstart],
});

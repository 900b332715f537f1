/* What the tools do to voxels: pure functions on a label volume; nothing here knows the page.

   A volume is a Uint8Array whose index is x + nx * (y + ny * z); x runs from left to right,
   y from posterior to anterior, z from inferior to superior. A grid is { size: [nx, ny, nz],
   spacing: [mm, mm, mm] }. A plane is named by the axis that stands on it: 2 is axial.
   An edit is { indices, before, after }: the voxels that changed, and only those. */

const PLANES = [[1, 2], [0, 2], [0, 1]];

/* Share of the way from dark to bright below which a voxel may be air. */
const DARK = 0.2;

/** The two axes that lie in the plane on which `axis` stands. */
export const inPlane = (axis) => PLANES[axis];

/** Index of a voxel. */
export const indexOf = ({ size }, [x, y, z]) => x + size[0] * (y + size[1] * z);

/** The voxel of an index. */
export function voxelOf({ size }, index) {
  const x = index % size[0];
  const rest = (index - x) / size[0];
  return [x, rest % size[1], Math.floor(rest / size[1])];
}

/** Whether a voxel lies in the volume. */
export const isInside = ({ size }, voxel) => voxel.every((v, i) => v >= 0 && v < size[i]);

/** Steps in the index from one voxel to the next along each axis. */
const steps = ({ size }) => [1, size[0], size[0] * size[1]];

/* ---- strokes ---- */

/** Voxels of one slice whose centre is within `radius` mm of the way from one voxel to another.

    The voxels on the way itself always belong to it, however thin the brush is. */
export function stroke(grid, from, to, axis, radius) {
  const [a, b] = inPlane(axis);
  const [sa, sb] = [grid.spacing[a], grid.spacing[b]];
  const step = steps(grid);
  const base = from[axis] * step[axis];
  const found = new Set();
  const low = (i, s) => Math.max(0, Math.ceil(Math.min(from[i], to[i]) - radius / s));
  const high = (i, s) => Math.min(grid.size[i] - 1, Math.floor(Math.max(from[i], to[i]) + radius / s));
  const way = [(to[a] - from[a]) * sa, (to[b] - from[b]) * sb];
  const long = way[0] ** 2 + way[1] ** 2;
  for (let v = low(b, sb); v <= high(b, sb); v++) {
    for (let u = low(a, sa); u <= high(a, sa); u++) {
      const at = [(u - from[a]) * sa, (v - from[b]) * sb];
      const share = long ? Math.min(1, Math.max(0, (at[0] * way[0] + at[1] * way[1]) / long)) : 0;
      const away = (at[0] - share * way[0]) ** 2 + (at[1] - share * way[1]) ** 2;
      if (away <= radius ** 2 + 1e-9) found.add(base + u * step[a] + v * step[b]);
    }
  }
  const count = Math.max(Math.abs(to[a] - from[a]), Math.abs(to[b] - from[b]), 1);
  for (let i = 0; i <= count; i++) {
    const u = Math.round(from[a] + ((to[a] - from[a]) * i) / count);
    const v = Math.round(from[b] + ((to[b] - from[b]) * i) / count);
    if (u >= 0 && u < grid.size[a] && v >= 0 && v < grid.size[b]) {
      found.add(base + u * step[a] + v * step[b]);
    }
  }
  return Uint32Array.from(found).sort();
}

/** Voxels of one slice that hang together with `seed` and have its label (4 neighbours).

    `open` says that the region reaches the border of the slice. */
export function region(grid, labels, seed, axis) {
  const [a, b] = inPlane(axis);
  const step = steps(grid);
  const [na, nb] = [grid.size[a], grid.size[b]];
  const base = seed[axis] * step[axis];
  const wanted = labels[indexOf(grid, seed)];
  const seen = new Uint8Array(na * nb);
  const todo = [seed[a] + na * seed[b]];
  seen[todo[0]] = 1;
  const found = [];
  let open = false;
  while (todo.length) {
    const at = todo.pop();
    const u = at % na;
    const v = (at - u) / na;
    found.push(base + u * step[a] + v * step[b]);
    open ||= u === 0 || v === 0 || u === na - 1 || v === nb - 1;
    for (const [du, dv] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      const [p, q] = [u + du, v + dv];
      if (p < 0 || q < 0 || p >= na || q >= nb || seen[p + na * q]) continue;
      if (labels[base + p * step[a] + q * step[b]] !== wanted) continue;
      seen[p + na * q] = 1;
      todo.push(p + na * q);
    }
  }
  return { indices: Uint32Array.from(found).sort(), open };
}

/* ---- edits ---- */

/** The edit that gives `value` to voxels: those that change, if they may.

    `only` holds the labels that may be replaced (null: any); `mask` is 1 where drawing is
    allowed at all (null: everywhere). */
export function painted(labels, indices, value, { only = null, mask = null } = {}) {
  const changed = Array.from(indices).filter((i) => labels[i] !== value &&
    (only === null || only.has(labels[i])) && (mask === null || mask[i]));
  return {
    indices: Uint32Array.from(changed),
    before: Uint8Array.from(changed, (i) => labels[i]),
    after: new Uint8Array(changed.length).fill(value),
  };
}

/** Write an edit into the labels; `back` takes it out again. */
export function apply(labels, edit, back = false) {
  const values = back ? edit.before : edit.after;
  edit.indices.forEach((index, i) => { labels[index] = values[i]; });
}

/** One edit instead of several, in their order. */
export function joined(edits) {
  const first = new Map();
  const last = new Map();
  for (const { indices, before, after } of edits) {
    indices.forEach((index, i) => {
      if (!first.has(index)) first.set(index, before[i]);
      last.set(index, after[i]);
    });
  }
  const indices = Uint32Array.from([...first.keys()].filter((i) => first.get(i) !== last.get(i)));
  indices.sort();
  return {
    indices,
    before: Uint8Array.from(indices, (i) => first.get(i)),
    after: Uint8Array.from(indices, (i) => last.get(i)),
  };
}

/* ---- slices and what lies between them ---- */

/** One label in one slice: { mask, width, height, spacing } with mask index u + width * v. */
export function sliceOf(grid, labels, value, axis, at) {
  const [a, b] = inPlane(axis);
  const step = steps(grid);
  const [width, height] = [grid.size[a], grid.size[b]];
  const mask = new Uint8Array(width * height);
  for (let v = 0; v < height; v++) {
    for (let u = 0; u < width; u++) {
      mask[u + width * v] = labels[at * step[axis] + u * step[a] + v * step[b]] === value ? 1 : 0;
    }
  }
  return { mask, width, height, spacing: [grid.spacing[a], grid.spacing[b]] };
}

/** Slices (along `axis`) in which a label occurs. */
export function slicesWith(grid, labels, value, axis) {
  const step = steps(grid)[axis];
  const found = new Uint8Array(grid.size[axis]);
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] === value) found[Math.floor(i / step) % grid.size[axis]] = 1;
  }
  return [...found.keys()].filter((z) => found[z]);
}

/* Squared distance along one line: lower envelope of parabolas
   (Felzenszwalb & Huttenlocher 2012, Distance Transforms of Sampled Functions). */
function alongLine(values, spacing) {
  const n = values.length;
  const hull = new Int32Array(n);
  const borders = new Float64Array(n + 1);
  const height = (i) => values[i] + (i * spacing) ** 2;
  let last = -1;
  for (let q = 0; q < n; q++) {
    if (values[q] === Infinity) continue;
    let cut = -Infinity;
    while (last >= 0) {
      cut = (height(q) - height(hull[last])) / (2 * spacing * (q - hull[last]));
      if (cut > borders[last]) break;
      last -= 1;
      cut = -Infinity;
    }
    last += 1;
    hull[last] = q;
    borders[last] = cut;
    borders[last + 1] = Infinity;
  }
  if (last < 0) return values;
  const found = new Float64Array(n);
  let k = 0;
  for (let q = 0; q < n; q++) {
    while (k < last && borders[k + 1] < q * spacing) k += 1;
    found[q] = ((q - hull[k]) * spacing) ** 2 + values[hull[k]];
  }
  return found;
}

/** Distance (mm) of each pixel to the nearest one that is set. */
export function distance({ mask, width, height, spacing }) {
  const grid = Float64Array.from(mask, (v) => (v ? 0 : Infinity));
  for (let v = 0; v < height; v++) {
    grid.set(alongLine(grid.slice(v * width, (v + 1) * width), spacing[0]), v * width);
  }
  const column = new Float64Array(height);
  for (let u = 0; u < width; u++) {
    for (let v = 0; v < height; v++) column[v] = grid[u + width * v];
    alongLine(column, spacing[1]).forEach((value, v) => { grid[u + width * v] = value; });
  }
  return grid.map(Math.sqrt);
}

/** Signed distance (mm) to the outline of a slice: positive inside. */
export function signedDistance(slice) {
  const outside = distance(slice);
  const inside = distance({ ...slice, mask: slice.mask.map((v) => 1 - v) });
  return inside.map((value, i) => Math.min(value, 1e6) - Math.min(outside[i], 1e6));
}

function centre({ mask, width }) {
  let [u, v, n] = [0, 0, 0];
  mask.forEach((value, i) => {
    if (value) { u += i % width; v += Math.floor(i / width); n += 1; }
  });
  return [u / n, v / n];
}

function sampled(field, { width, height }, u, v) {
  const clip = (value, n) => Math.min(Math.max(value, 0), n - 1);
  const [x, y] = [clip(u, width), clip(v, height)];
  const [x0, y0] = [Math.floor(x), Math.floor(y)];
  const [x1, y1] = [Math.min(x0 + 1, width - 1), Math.min(y0 + 1, height - 1)];
  const row = (yy) => field[x0 + width * yy] * (1 - x + x0) + field[x1 + width * yy] * (x - x0);
  return row(y0) * (1 - y + y0) + row(y1) * (y - y0);
}

/** The shape at `share` of the way (0 to 1) from one slice to another.

    Shape-based interpolation by signed distances (Raya & Udupa 1990), each moved so that the
    centre travels straight from one to the other: muscles wander between thick slices. */
export function between(first, second, share, fields = [first, second].map(signedDistance)) {
  const [from, to] = [centre(first), centre(second)];
  const here = from.map((value, i) => value * (1 - share) + to[i] * share);
  const mask = new Uint8Array(first.mask.length);
  for (let v = 0; v < first.height; v++) {
    for (let u = 0; u < first.width; u++) {
      const one = sampled(fields[0], first, u - here[0] + from[0], v - here[1] + from[1]);
      const two = sampled(fields[1], first, u - here[0] + to[0], v - here[1] + to[1]);
      mask[u + first.width * v] = one * (1 - share) + two * share > 0 ? 1 : 0;
    }
  }
  return { ...first, mask };
}

/* The smallest part of slices that holds both shapes and a pixel around them. */
function cropped(slices) {
  const { width, height } = slices[0];
  const box = [width, height, 0, 0];
  for (const { mask } of slices) {
    mask.forEach((value, i) => {
      if (!value) return;
      const [u, v] = [i % width, Math.floor(i / width)];
      [box[0], box[1]] = [Math.min(box[0], u), Math.min(box[1], v)];
      [box[2], box[3]] = [Math.max(box[2], u), Math.max(box[3], v)];
    });
  }
  const [u0, v0] = [Math.max(box[0] - 1, 0), Math.max(box[1] - 1, 0)];
  const [u1, v1] = [Math.min(box[2] + 2, width), Math.min(box[3] + 2, height)];
  return slices.map((slice) => {
    const mask = new Uint8Array((u1 - u0) * (v1 - v0));
    for (let v = v0; v < v1; v++) {
      mask.set(slice.mask.subarray(u0 + width * v, u1 + width * v), (u1 - u0) * (v - v0));
    }
    return { ...slice, mask, width: u1 - u0, height: v1 - v0, corner: [u0, v0] };
  });
}

/** The edit that makes one label anew between two slices that hold it.

    @throws {RangeError} If there is no slice between them, or one of them lacks the label. */
export function interpolated(grid, labels, value, axis, low, high, rules = {}) {
  if (high - low < 2) throw new RangeError("There is no slice between the two.");
  const ends = [low, high].map((at) => sliceOf(grid, labels, value, axis, at));
  if (!ends.every(({ mask }) => mask.includes(1))) {
    throw new RangeError("The structure must be drawn in both slices.");
  }
  const step = steps(grid);
  const [a, b] = inPlane(axis);
  const [first, second] = cropped(ends);
  const fields = [first, second].map(signedDistance);
  const edits = [];
  for (let at = low + 1; at < high; at++) {
    const { mask, width } = between(first, second, (at - low) / (high - low), fields);
    const [gone, drawn] = [new Set(), []];
    sliceOf(grid, labels, value, axis, at).mask.forEach((set, i) => {
      if (set) gone.add(at * step[axis] + (i % grid.size[a]) * step[a] + Math.floor(i / grid.size[a]) * step[b]);
    });
    mask.forEach((set, i) => {
      if (!set) return;
      const [u, v] = [(i % width) + first.corner[0], Math.floor(i / width) + first.corner[1]];
      drawn.push(at * step[axis] + u * step[a] + v * step[b]);
      gone.delete(drawn.at(-1));
    });
    edits.push(painted(labels, [...gone], 0, { mask: rules.mask ?? null }));
    edits.push(painted(labels, drawn, value, rules));
  }
  return joined(edits);
}

/** Slices nearest to `at` on both sides that were drawn in, or else hold the label; or null. */
export function neighbours(slices, drawn, at) {
  const pick = (list) => {
    const low = list.filter((z) => z < at).pop();
    const high = list.find((z) => z > at);
    return low === undefined || high === undefined ? null : [low, high];
  };
  const known = slices.filter((z) => drawn.has(z));
  return pick(known) ?? pick(slices.filter((z) => z !== at));
}

/* ---- what is there ---- */

/** Voxels of each label (256 numbers). */
export function counts(labels) {
  const found = new Float64Array(256);
  for (let i = 0; i < labels.length; i++) found[labels[i]] += 1;
  return found;
}

/** A voxel of a label in the slice where it is largest, near its middle; null if there is none. */
export function middleOf(grid, labels, value) {
  const plane = grid.size[0] * grid.size[1];
  let [best, most] = [-1, 0];
  for (let z = 0; z < grid.size[2]; z++) {
    let n = 0;
    for (let i = z * plane; i < (z + 1) * plane; i++) n += labels[i] === value ? 1 : 0;
    if (n > most) [best, most] = [z, n];
  }
  if (best < 0) return null;
  const slice = sliceOf(grid, labels, value, 2, best);
  const [u, v] = centre(slice);
  let nearest = [0, 0];
  let away = Infinity;
  slice.mask.forEach((set, i) => {
    const at = [i % slice.width, Math.floor(i / slice.width)];
    const d = (at[0] - u) ** 2 + (at[1] - v) ** 2;
    if (set && d < away) [nearest, away] = [at, d];
  });
  return [...nearest, best];
}

/** Means of dark and bright, parted so that they are as far apart as can be (Otsu 1979). */
export function darkAndBright(values, bins = 256) {
  let [low, high] = [Infinity, -Infinity];
  for (const v of values) { if (v < low) low = v; if (v > high) high = v; }
  if (!(high > low)) return [low, low];
  const histogram = new Float64Array(bins);
  const scale = (bins - 1) / (high - low);
  for (const v of values) histogram[Math.floor((v - low) * scale)] += 1;
  const total = values.length;
  const sum = histogram.reduce((s, n, i) => s + n * i, 0);
  let [below, part, best, means] = [0, 0, -1, [0, 0]];
  for (let i = 0; i < bins; i++) {
    below += histogram[i];
    part += histogram[i] * i;
    if (!below || below === total) continue;
    const [dark, bright] = [part / below, (sum - part) / (total - below)];
    const apart = below * (total - below) * (dark - bright) ** 2;
    if (apart > best) [best, means] = [apart, [dark, bright]];
  }
  return means.map((bin) => low + bin / scale);
}

/** 1 in the body: all that the dark outside, coming from the border of each axial slice,
    does not reach. */
export function bodyMask(grid, values) {
  const [nx, ny, nz] = grid.size;
  const [low, high] = darkAndBright(values);
  const limit = low + (high - low) * DARK;
  const mask = new Uint8Array(values.length).fill(1);
  const todo = new Int32Array(nx * ny);
  let count = 0;
  const visit = (i) => {
    if (mask[i] && values[i] < limit) {
      mask[i] = 0;
      todo[count++] = i;
    }
  };
  for (let base = 0; base < nx * ny * nz; base += nx * ny) {
    for (let x = 0; x < nx; x++) { visit(base + x); visit(base + x + nx * (ny - 1)); }
    for (let y = 0; y < ny; y++) { visit(base + nx * y); visit(base + nx * y + nx - 1); }
    while (count) {
      const i = todo[--count];
      const x = i % nx;
      if (x > 0) visit(i - 1);
      if (x < nx - 1) visit(i + 1);
      if (i - nx >= base) visit(i - nx);
      if (i + nx < base + nx * ny) visit(i + nx);
    }
  }
  return mask;
}

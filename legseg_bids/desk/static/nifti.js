/* NIfTI-1 label files: from bytes to a canonical volume and back, everything else untouched.

   Which way a file's axes run is asked of NiiVue (`turn`: size, and for each canonical axis the
   step and start in the file's own order), so that what is drawn is what is saved. */

/** Types of voxels that labels come in: NIfTI code, bytes, and how to read and write one. */
const TYPES = {
  2: [1, "Uint8"], 256: [1, "Int8"], 4: [2, "Int16"], 512: [2, "Uint16"], 8: [4, "Int32"],
  768: [4, "Uint32"], 16: [4, "Float32"], 64: [8, "Float64"],
};

async function through(bytes, stream) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}

/** Unpacked, if the bytes are gzip. */
export async function gunzip(bytes) {
  const packed = bytes[0] === 0x1f && bytes[1] === 0x8b;
  return packed ? through(bytes, new DecompressionStream("gzip")) : bytes;
}

export const gzip = (bytes) => through(bytes, new CompressionStream("gzip"));

/** What is needed of a header.

    @throws {TypeError} If it is no NIfTI-1 file, or its voxels are of a type that labels never have. */
export function headerOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = bytes.length > 352 && view.getInt32(0, true) === 348;
  if (!little && !(bytes.length > 352 && view.getInt32(0, false) === 348)) {
    throw new TypeError("This is not a NIfTI-1 file.");
  }
  const code = view.getInt16(70, little);
  if (!TYPES[code]) throw new TypeError(`Labels of NIfTI type ${code} cannot be edited.`);
  const size = [42, 44, 46].map((at) => Math.max(1, view.getInt16(at, little)));
  const slope = view.getFloat32(112, little);
  return {
    little, code, size, start: Math.round(view.getFloat32(108, little)),
    slope: Number.isFinite(slope) && slope !== 0 ? slope : 1,
    offset: Number.isFinite(slope) && slope !== 0 ? view.getFloat32(116, little) : 0,
  };
}

/** Call `visit(i, place)` with each index of the canonical volume and its place in the file. */
function each({ size, step, start }, visit) {
  const base = start[0] + start[1] + start[2];
  let i = 0;
  for (let z = 0; z < size[2]; z++) {
    for (let y = 0; y < size[1]; y++) {
      const row = base + y * step[1] + z * step[2];
      for (let x = 0; x < size[0]; x++) visit(i++, row + x * step[0]);
    }
  }
}

/** Labels of an unpacked file as a canonical Uint8Array. */
export function readLabels(bytes, turn) {
  const { little, code, start, slope, offset } = headerOf(bytes);
  const [width, kind] = TYPES[code];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const read = view[`get${kind}`].bind(view);
  const found = new Uint8Array(turn.size[0] * turn.size[1] * turn.size[2]);
  each(turn, (i, place) => { found[i] = Math.round(read(start + place * width, little) * slope + offset); });
  return found;
}

/** The file with other labels: the same header, voxels of the same type. */
export function writeLabels(bytes, labels, turn) {
  const { little, code, start, slope, offset } = headerOf(bytes);
  const [width, kind] = TYPES[code];
  const written = bytes.slice();
  const view = new DataView(written.buffer);
  const write = view[`set${kind}`].bind(view);
  each(turn, (i, place) => write(start + place * width, (labels[i] - offset) / slope, little));
  return written;
}

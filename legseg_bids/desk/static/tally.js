/* How much there is of each label, and how much is not as it was saved: counted once, then kept. */

import { counts } from "./drawing.js";

export class Tally {
  /** `saved`: the labels that `labels` are compared with; both stay with their owner. */
  constructor({ spacing }, labels, saved) {
    this.unit = spacing.reduce((product, n) => product * n, 1) / 1000;
    this.saved = saved;
    this.counted = counts(labels);
    this.differing = 0;
    for (let i = 0; i < labels.length; i++) if (labels[i] !== saved[i]) this.differing += 1;
  }

  /** Volume (mL) of each label. */
  volumes() { return this.counted.map((n) => n * this.unit); }

  /** An edit was applied, or (`back`) taken out again. */
  take({ indices, before, after }, back = false) {
    const [from, to] = back ? [after, before] : [before, after];
    for (let k = 0; k < indices.length; k++) {
      this.counted[from[k]] -= 1;
      this.counted[to[k]] += 1;
      const saved = this.saved[indices[k]];
      this.differing += Number(to[k] !== saved) - Number(from[k] !== saved);
    }
  }
}

"use strict";
/* What a page does: size of pictures, sorting, copying, and the viewer. It loads nothing. */
(() => {
  const one = (root, selector) => root.querySelector(selector);
  const all = (root, selector) => [...root.querySelectorAll(selector)];

  /* ---- pictures ---- */
  const size = one(document, "#size");
  size?.addEventListener("input", () => {
    document.documentElement.style.setProperty("--tile", `${size.value}rem`);
  });
  for (const what of ["outlines", "names"]) {
    one(document, `#${what}`)?.addEventListener("change", (event) => {
      document.body.classList.toggle(`no-${what}`, !event.target.checked);
    });
  }

  /* ---- tables: a click on a heading sorts by it, another one turns the order ---- */
  function sortBy(heading) {
    const table = heading.closest("table");
    const place = [...heading.parentNode.children].indexOf(heading);
    const up = heading.getAttribute("aria-sort") !== "ascending";
    const numeric = heading.dataset.kind === "number";
    const key = (row) => row.children[place].dataset.sort ?? row.children[place].textContent.trim();
    const compare = (a, b) => {
      if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1; // what is unknown goes last
      const order = numeric ? Number(a) - Number(b) : a.localeCompare(b);
      return up ? order : -order;
    };
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
    all(table, "thead th").forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
  }
  all(document, ".measures thead button").forEach((button) => {
    button.addEventListener("click", () => sortBy(button.closest("th")));
  });

  /* ---- methods ---- */
  one(document, "#copy")?.addEventListener("click", async () => {
    const text = one(document, "#methods-text");
    let done = true;
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch {
      getSelection().selectAllChildren(text);
      done = document.execCommand("copy");
    }
    one(document, "#copied").textContent = done ? "copied" : "selected: press Ctrl+C";
  });

  /* ---- print: everything that is folded is opened ---- */
  const folded = [];
  addEventListener("beforeprint", () => {
    const closed = all(document, "section details:not([open])");
    closed.forEach((details) => { details.open = true; });
    folded.push(...closed);
  });
  addEventListener("afterprint", () => {
    folded.splice(0).forEach((details) => { details.open = false; });
  });

  /* ---- viewer ---- */
  let library = null;
  async function unpack(base64) {
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }
  function niivue() {
    library ??= unpack(one(document, "#niivue").textContent).then((text) => {
      const script = document.createElement("script");
      script.textContent = text;
      document.head.append(script);
      return globalThis.niivue;
    });
    return library;
  }

  /* View, its NiiVue number, and the axis that the slice slider moves along. */
  const VIEWS = { slice: [0, 2], front: [1, 1], side: [2, 0], all: [3, 2], solid: [4, 2] };
  const STEPS = {
    ArrowLeft: [1, 0, 0], ArrowRight: [-1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0],
    PageUp: [0, 0, 1], PageDown: [0, 0, -1],
  };
  const viewers = [];

  class Viewer {
    constructor(root) {
      this.root = root;
      this.stage = one(root, ".stage");
      this.view = "all";
      this.nv = null;
      one(root, ".open").addEventListener("click", () => this.open());
      one(root, ".close").addEventListener("click", () => this.close(true));
      one(root, ".full").addEventListener("click", () => this.stage.requestFullscreen?.());
      all(root, "fieldset input").forEach((input) => {
        input.addEventListener("change", () => this.show(input.value));
      });
      one(root, ".at").addEventListener("input", (event) => this.slide(Number(event.target.value)));
      one(root, ".opacity").addEventListener("input", () => this.paint());
      one(root, ".labels").addEventListener("change", () => this.paint());
      one(root, ".edges").addEventListener("change", () => this.paint());
      one(root, ".go").addEventListener("change", (event) => this.go(event.target.value));
    }

    async open() {
      if (this.nv) return;
      const button = one(this.root, ".open");
      button.disabled = true;
      try {
        viewers.forEach((other) => other.close());
        const { Niivue, NVImage } = await niivue();
        this.data ??= JSON.parse(one(this.root, ".volumes").textContent);
        this.stage.hidden = false;
        await this.start(Niivue, NVImage);
        one(this.root, ".start").hidden = true;
        one(this.root, ".frame canvas").focus({ preventScroll: true });
      } catch (error) {
        this.stage.hidden = true;
        const failure = one(this.root, ".failure");
        failure.hidden = false;
        failure.textContent = "The viewer needs WebGL 2 and a browser of 2023 or later " +
          `(${error.message}). The pictures above show the same.`;
        this.nv = null;
      }
      button.disabled = false;
    }

    async start(Niivue, NVImage) {
      const nv = new Niivue({
        backColor: [0, 0, 0, 1], crosshairColor: [1, 0.85, 0, 0.8], crosshairWidth: 1,
        crosshairWidthUnit: "mm", isRadiologicalConvention: true, sagittalNoseLeft: true,
        multiplanarShowRender: 0, multiplanarLayout: 0, multiplanarPadPixels: 4,
        scrollRequiresFocus: true, dragAndDropEnabled: false, loadingText: "", logLevel: "error",
        isOrientationTextVisible: true, show3Dcrosshair: false, isColorbar: false,
      });
      const canvas = one(this.root, ".frame canvas");
      await nv.attachToCanvas(canvas);
      const { image, labels } = this.data;
      nv.addVolume(await NVImage.loadFromBase64(
        { base64: image, name: "image.nii.gz", colormap: "gray", cal_min: 0, cal_max: 255 }));
      this.labels = await NVImage.loadFromBase64({ base64: labels, name: "labels.nii.gz" });
      this.colour();
      nv.addVolume(this.labels);
      nv.onLocationChange = (place) => this.read(place.vox, true);
      Object.assign(nv.scene, { renderAzimuth: 165, renderElevation: 8, volScaleMultiplier: 0.8 });
      this.nv = nv;
      this.whole = this.labels.img;
      this.peeled = this.whole.map((value) => (this.data.fat.includes(value) ? 0 : value));
      canvas.addEventListener("mousemove", (event) => this.hover(event));
      canvas.addEventListener("mouseleave", () => this.read(this.here(), true));
      canvas.addEventListener("keydown", (event) => this.key(event), true);
      this.show(this.view);
      if (this.data.first) this.go(this.data.first); else this.read(this.here(), true);
    }

    colour() {
      const { names, colors } = this.data;
      const values = Object.keys(names).map(Number);
      const shade = (at) => [0, ...values.map((v) => parseInt(colors[v].slice(at, at + 2), 16))];
      this.labels.setColormapLabel({
        R: shade(1), G: shade(3), B: shade(5), A: [0, ...values.map(() => 255)],
        I: [0, ...values], labels: ["", ...values.map((v) => names[v])],
      });
    }

    close(focus = false) {
      if (!this.nv) return;
      this.nv.cleanup();
      this.nv.gl.getExtension("WEBGL_lose_context")?.loseContext();
      this.nv = null;
      const old = one(this.root, ".frame canvas");
      old.replaceWith(old.cloneNode());
      this.stage.hidden = true;
      one(this.root, ".start").hidden = false;
      if (focus) one(this.root, ".open").focus();
    }

    get axis() { return VIEWS[this.view][1]; }
    get shape() { return this.nv.volumes[0].dimsRAS.slice(1, 4); }
    here() { return [...this.nv.frac2vox(this.nv.scene.crosshairPos)]; }

    show(view) {
      this.view = view;
      all(this.root, "fieldset input").forEach((input) => { input.checked = input.value === view; });
      const at = one(this.root, ".at");
      at.max = this.shape[this.axis];
      at.disabled = view === "solid";
      this.paint();
      this.read(this.here(), true);
    }

    /* All that can be seen, in one go: each drawing costs time where there is no graphics card.
       In 3-D the image, and the fat below the skin, would hide the muscles: they are left out. */
    paint() {
      const { nv, labels } = this;
      const solid = this.view === "solid";
      const opacity = Number(one(this.root, ".opacity").value) / 100;
      const shown = one(this.root, ".labels").checked ? (solid ? 1 : opacity) : 0;
      nv.opts.sliceType = VIEWS[this.view][0];
      nv.opts.atlasOutline = one(this.root, ".edges").checked && !solid ? 1 : 0;
      nv.volumes[0].opacity = solid && shown ? 0 : 1;
      labels.opacity = shown;
      labels.img = solid ? this.peeled : this.whole;
      nv.updateGLVolume();
    }

    move(voxel) {
      const last = this.shape.map((n) => n - 1);
      const inside = voxel.map((v, axis) => Math.min(Math.max(v, 0), last[axis]));
      this.nv.scene.crosshairPos = this.nv.vox2frac(inside);
      this.nv.drawScene();
      this.read(inside, true);
    }

    slide(number) {
      const voxel = this.here();
      voxel[this.axis] = number - 1;
      this.move(voxel);
    }

    async go(key) {
      await this.open();
      const place = this.data?.places[key];
      if (!place || !this.nv) return;
      if (this.view === "solid") this.show("all");
      one(this.root, ".go").value = key;
      this.move(place);
    }

    key(event) {
      if (event.key === "+" || event.key === "-") this.zoom(event.key === "+" ? 1.25 : 0.8);
      else if (STEPS[event.key]) this.move(this.here().map((v, axis) => v + STEPS[event.key][axis]));
      else return;
      event.preventDefault();
      event.stopImmediatePropagation();
    }

    zoom(times) {
      const [x, y, z, now] = this.nv.scene.pan2Dxyzmm;
      this.nv.setPan2Dxyzmm([x, y, z, Math.min(Math.max(now * times, 1), 12)]);
      this.nv.setScale(Math.min(Math.max(this.nv.volScaleMultiplier * times, 0.5), 6));
    }

    hover(event) {
      if (event.buttons || this.view === "solid") return;
      const scale = this.nv.uiData.dpr ?? 1;
      const place = this.nv.canvasPos2frac([event.offsetX * scale, event.offsetY * scale]);
      if (place[0] >= 0) this.read([...this.nv.frac2vox(place)], false);
    }

    /* Name of what lies at a voxel; `stay` if the cross-hair is there too. */
    read(voxel, stay) {
      const [x, y, z] = voxel.map(Math.round);
      const value = this.labels.getValue(x, y, z);
      const name = this.data.names[value] ?? "not labelled";
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.background = this.data.colors[value] ?? "transparent";
      const place = `slice ${z + 1} of ${this.shape[2]}`;
      const output = one(this.root, ".readout output");
      output.setAttribute("aria-live", stay ? "polite" : "off");
      output.replaceChildren(swatch, `${name} · ${place}`);
      output.dataset.value = value;
      if (!stay) return;
      const at = one(this.root, ".at");
      at.value = [x, y, z][this.axis] + 1;
      at.setAttribute("aria-valuetext", `${at.value} of ${at.max}: ${name}`);
    }
  }

  all(document, ".viewer").forEach((root) => {
    root.viewer = new Viewer(root);
    viewers.push(root.viewer);
  });
  all(document, "button.show").forEach((button) => {
    const root = one(button.closest("section"), ".viewer");
    button.addEventListener("click", async () => {
      await root.viewer.go(button.dataset.key);
      root.scrollIntoView({ block: "start" });
    });
  });
})();

"use strict";
(() => {
  const D = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const NS = "http://www.w3.org/2000/svg";
  const BLUE = "#0b6e8f", ORANGE = "#bf5b17", INK = "#1c2733";

  // ------------------------------------------------------------- small helpers

  function svg(tag, attributes, parent, text) {
    const node = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    if (parent) parent.appendChild(node);
    return node;
  }

  function element(tag, parent, text, cls) {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (cls) node.className = cls;
    if (parent) parent.appendChild(node);
    return node;
  }

  function canvas(id, width, height, label) {
    const place = $(id);
    place.replaceChildren();
    return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, place);
  }

  function empty(id, text) {
    $(id).replaceChildren();
    element("p", $(id), text, "empty");
  }

  function options(select, pairs) {
    select.replaceChildren();
    for (const [value, text] of pairs) {
      const option = element("option", select, text);
      option.value = value;
    }
  }

  // Four digits, as in the tables; 0.0003 rather than 3e-4.
  function show(value) {
    if (value === null || value === undefined) return "n/a";
    return String(Number(value.toPrecision(4)));
  }
  const pShow = (p) => (p < 0.001 ? "< 0.001" : p.toFixed(3));

  function ticks(low, high, count) {
    const span = high - low || 1;
    const raw = span / count;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((s) => s >= raw);
    const found = [];
    for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) found.push(v);
    return found.map((v) => Number(v.toPrecision(12)));
  }

  const linear = (low, high, from, to) => (v) => from + ((v - low) / (high - low || 1)) * (to - from);
  const median = (values) => {
    const sorted = [...values].sort((a, b) => a - b);
    const half = sorted.length >> 1;
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  };
  const measureOf = (name) => D.measures.find((m) => m.name === name);
  const unit = (m) => (m.unit ? ` (${m.unit})` : "");
  // The same place for the same dot in every chart: a low-discrepancy sequence.
  const jitter = (i) => ((i * 0.6180339887) % 1) - 0.5;
  const isFirst = (i) => D.first[i] === 1;

  // ---------------------------------------------------- the tip and the links

  const tip = $("tip");
  function showTip(event, text) {
    tip.textContent = text;
    tip.classList.add("on");
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - box.width - 8)}px`;
    tip.style.top = `${Math.min(event.clientY + 14, innerHeight - box.height - 8)}px`;
  }
  const hideTip = () => tip.classList.remove("on");

  function nameOf(i) {
    const [participant, session] = D.records[i];
    return session ? `${participant} ${session}` : participant;
  }

  function linkOf(i, structure, side) {
    const [, , page, images, which] = D.records[i];
    if (!page) return "";
    const column = structure.columns[side];
    const image = images[which.length ? Math.max(which[column], 0) : 0];
    const key = structure.keys[side];
    return `${page}#${encodeURIComponent(key ? `${image}-${key}` : image)}`;
  }

  // One listener for a whole chart: the nearest dot counts.
  function watch(root, dots, reach) {
    const near = (event) => {
      const matrix = root.getScreenCTM();
      if (!matrix) return null;
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
      let best = null, least = reach * reach;
      for (const dot of dots) {
        const d = (dot.x - at.x) ** 2 + (dot.y - at.y) ** 2;
        if (d < least) [best, least] = [dot, d];
      }
      return best;
    };
    root.addEventListener("mousemove", (event) => {
      const dot = near(event);
      root.style.cursor = dot && dot.link ? "pointer" : "";
      if (dot) showTip(event, dot.text); else hideTip();
    });
    root.addEventListener("mouseleave", hideTip);
    root.addEventListener("click", (event) => {
      const dot = near(event);
      if (dot && dot.link && !event.target.closest(".name")) location.href = dot.link;
    });
  }

  // ------------------------------------------------------ strips with boxes

  const MARK = {
    w: (x, y) => `M${x} ${y}h.01`,
    c: (x, y) => `M${x - 2} ${y}a2 2 0 1 0 4 0a2 2 0 1 0 -4 0`,
    p: (x, y) => `M${x - 2} ${y - 2}l4 4m0 -4l-4 4`,
  };

  // How a value is marked: w counts, c is cut, p is poor. Flags add k: cut, but for its peak.
  function markOf(flag, m) {
    if (flag === "p" || flag === "w") return flag;
    return m.counts === "always" || (m.counts === "peak" && flag === "k") ? "w" : "c";
  }

  function strip(root, dots, x, y, thick, color) {
    const paths = { w: "", c: "", p: "" };
    for (const dot of dots) {
      dot.x = Number(x(dot.value).toFixed(1));
      dot.y = Number((y + jitter(dot.i) * thick).toFixed(1));
      paths[dot.flag] += MARK[dot.flag](dot.x, dot.y);
    }
    const look = { fill: "none", stroke: color, "stroke-linecap": "round" };
    svg("path", { ...look, d: paths.w || "M0 0", "stroke-width": 4, "stroke-opacity": 0.55 }, root);
    svg("path", { ...look, d: paths.c || "M0 0", "stroke-width": 1, "stroke-opacity": 0.7 }, root);
    svg("path", { ...look, d: paths.p || "M0 0", "stroke-width": 1.2 }, root);
  }

  function boxMark(root, box, x, y, thick) {
    const [n, low, first, mid, third, high, usable] = box;
    const line = { stroke: INK, "stroke-width": 1.2, "stroke-dasharray": usable ? "none" : "3 2" };
    const g = svg("g", {}, root);
    if (n >= 4) {
      svg("path", { ...line, d: `M${x(low)} ${y}H${x(first)}M${x(third)} ${y}H${x(high)}` }, g);
      svg("rect", {
        ...line, x: x(first), y: y - thick / 2, height: thick, fill: "#fff", "fill-opacity": 0.55,
        width: Math.max(x(third) - x(first), 0.5),
      }, g);
    }
    svg("path", { stroke: INK, "stroke-width": 2.4, d: `M${x(mid)} ${y - thick / 2}v${thick}` }, g);
  }

  // rows: {name, pick, strips: [{box, color, dots: [{i, value, flag, text, link}]}]}
  function stripChart(id, rows, axis, label, band) {
    if (!rows.length) return empty(id, "No values.");
    const width = 1060, left = 190, right = 60, head = 30, tall = rows[0].strips.length > 1 ? 36 : 26;
    const height = head + rows.length * tall + 34;
    const values = rows.flatMap((r) => r.strips.flatMap((s) => [
      ...s.dots.map((d) => d.value), ...(s.box ? [s.box[1], s.box[5]] : [])]));
    let low = Math.min(...values), high = Math.max(...values);
    if (band) [low, high] = [-band, band]; else low = Math.min(low, 0);
    const x = linear(low, high, left, width - right);
    const root = canvas(id, width, height, label);
    rows.forEach((row, r) => {
      if (r % 2) svg("rect", { class: "odd", x: 0, y: head + r * tall, width, height: tall }, root);
    });
    if (band) {
      svg("rect", { x: x(-10), y: head, width: x(10) - x(-10), height: rows.length * tall, fill: BLUE, "fill-opacity": 0.07 }, root);
    }
    const bottom = head + rows.length * tall;
    for (const t of ticks(low, high, 9)) {
      svg("path", { class: band && t === 0 ? "zero" : "grid", d: `M${x(t)} ${head}V${bottom}` }, root);
      for (const y of [head - 8, bottom + 16]) {
        svg("text", { class: "soft", x: x(t), y, "text-anchor": "middle" }, root, show(t));
      }
    }
    svg("text", { class: "soft", x: width - 4, y: head - 8, "text-anchor": "end" }, root, "n");
    svg("text", { class: "soft", x: (left + width - right) / 2, y: bottom + 32, "text-anchor": "middle" }, root, axis);
    const all = [];
    rows.forEach((row, r) => {
      const top = head + r * tall, each = tall / row.strips.length;
      const name = svg("text", { class: "name", x: left - 12, y: top + tall / 2 + 4.5, "text-anchor": "end", tabindex: 0, role: "link" }, root, row.name);
      name.addEventListener("click", row.pick);
      name.addEventListener("keydown", (event) => { if (event.key === "Enter") row.pick(); });
      row.strips.forEach((s, k) => {
        const y = top + each * (k + 0.5);
        strip(root, s.dots, x, y, each * 0.62, s.color);
        if (s.box) {
          boxMark(root, s.box, x, y, each * 0.52);
          svg("text", { class: "soft", x: width - 4, y: y + 4, "text-anchor": "end" }, root, s.box[0]);
        }
        all.push(...s.dots);
      });
    });
    watch(root, all, 9);
    return undefined;
  }

  // -------------------------------------------------------- distributions

  const KINDS = [
    ["upper", "Thigh muscles", (s) => s.kind === "muscle" && s.region === "upper"],
    ["lower", "Lower-leg muscles", (s) => s.kind === "muscle" && s.region === "lower"],
    ["hip", "Hip muscles", (s) => s.kind === "muscle" && s.region === "hip"],
    ["compartment", "Compartments", (s) => s.kind === "compartment"],
    ["tissue", "Tissues of the limb", (s) => s.kind === "tissue"],
    ["other", "Bones and other labels", (s) => s.kind === "bone" || s.kind === "fat"],
  ].filter(([, , test]) => D.structures.some(test));
  const TWO = [BLUE, "#12303f"];

  const colorsOf = (s) => (s.kind === "compartment" || s.kind === "tissue" ? TWO : s.colors);
  const inSession = (i, session) => (D.records[i][1] || "n/a") === session;

  function dotsOf(s, place, side, measure, scale, session) {
    const column = s.columns[side], m = measureOf(measure);
    const found = [];
    D.values[measure][column].forEach((value, i) => {
      if (value === null || !inSession(i, session)) return;
      found.push({
        i, value: value * scale, flag: markOf(D.flags[column][i], m), link: linkOf(i, s, side),
        text: `${nameOf(i)}: ${s.name} ${s.sides[side] === "n/a" ? "" : s.sides[side]} ${show(value)} ${m.unit}`,
      });
    });
    return found;
  }

  function drawAll() {
    const measure = $("measure").value, session = $("session").value || D.sessions[0];
    const relative = $("scale").value === "rel", m = measureOf(measure);
    const test = KINDS.find(([id]) => id === $("kind").value)[2];
    const rows = [];
    D.structures.forEach((s, place) => {
      if (!test(s)) return;
      const boxes = s.columns.map((c) => D.boxes[session][measure][c]);
      const known = boxes.filter(Boolean);
      if (!known.length) return;
      const middle = known.reduce((sum, b) => sum + b[3], 0) / known.length;
      const scale = relative ? 100 / (middle || 1) : 1;
      rows.push({
        name: s.name,
        pick: () => { $("one").value = place; drawOne(); $("structure").scrollIntoView(); },
        strips: s.columns.map((c, side) => ({
          color: colorsOf(s)[side],
          box: boxes[side] && boxes[side].map((v, k) => (k > 0 && k < 6 ? v * scale : v)),
          dots: dotsOf(s, place, side, measure, scale, session),
          raw: boxes[side], side: s.sides[side],
        })),
      });
    });
    const axis = relative ? `${m.title} (% of the median of the structure)` : `${m.title}${unit(m)}`;
    stripChart("chart-all", rows, axis, `${m.title}: distribution of each structure, left above right`);
    const table = $("table-all");
    header(table, ["Structure", "Side", "n", "Lower quartile", "Median", "Upper quartile"], 2);
    for (const row of rows) {
      for (const s of row.strips) {
        if (s.raw) line(table, [row.name, s.side, s.raw[0], show(s.raw[2]), show(s.raw[3]), show(s.raw[4])], 2);
      }
    }
  }

  // ---------------------------------------------------------- one structure

  function scatter(id, dots, xTitle, yTitle, label, more) {
    if (dots.length < 1) return empty(id, "No values.");
    const width = 420, height = 340, left = 62, bottom = 44;
    const xs = dots.map((d) => d.xv), ys = dots.map((d) => d.yv);
    const pad = (a, b) => [a - 0.04 * (b - a || 1), b + 0.04 * (b - a || 1)];
    let xr = pad(Math.min(...xs), Math.max(...xs)), yr = pad(Math.min(...ys), Math.max(...ys));
    if (more === "equal") xr = yr = pad(Math.min(...xs, ...ys), Math.max(...xs, ...ys));
    const x = linear(...xr, left, width - 8), y = linear(...yr, height - bottom, 10);
    const root = canvas(id, width, height, label);
    frame(root, xr, yr, x, y, { left, bottom, width, height, xTitle, yTitle });
    if (more === "equal") svg("path", { class: "zero", d: `M${x(xr[0])} ${y(xr[0])}L${x(xr[1])} ${y(xr[1])}` }, root);
    for (const d of dots) {
      d.x = x(d.xv); d.y = y(d.yv);
      svg("circle", { cx: d.x, cy: d.y, r: 3.2, fill: d.color, "fill-opacity": 0.6 }, root);
    }
    watch(root, dots, 12);
    return undefined;
  }

  function frame(root, xr, yr, x, y, o) {
    for (const t of ticks(...yr, 5)) {
      svg("path", { class: "grid", d: `M${o.left} ${y(t)}H${o.width - 8}` }, root);
      svg("text", { class: "soft", x: o.left - 6, y: y(t) + 4, "text-anchor": "end" }, root, show(t));
    }
    if (xr) {
      for (const t of ticks(...xr, 5)) {
        svg("path", { class: "grid", d: `M${x(t)} 10V${o.height - o.bottom}` }, root);
        svg("text", { class: "soft", x: x(t), y: o.height - o.bottom + 16, "text-anchor": "middle" }, root, show(t));
      }
    }
    svg("text", { class: "soft", x: (o.left + o.width) / 2, y: o.height - 6, "text-anchor": "middle" }, root, o.xTitle);
    svg("text", { class: "soft", x: 12, y: (o.height - o.bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(o.height - o.bottom) / 2})` }, root, o.yTitle);
  }

  // Mean of the sides that count, as in the statistics.
  function bothSides(s, measure, i) {
    const m = measureOf(measure);
    const sides = s.columns
      .filter((c) => markOf(D.flags[c][i], m) === "w")
      .map((c) => D.values[measure][c][i]).filter((v) => v !== null);
    return sides.length ? sides.reduce((a, b) => a + b, 0) / sides.length : null;
  }

  function drawOne() {
    const s = D.structures[$("one").value], measure = $("one-measure").value, m = measureOf(measure);
    const title = `${m.title}${unit(m)}`, color = colorsOf(s)[0];
    const pairs = [];
    if (s.columns.length === 2) {
      D.records.forEach((_, i) => {
        const [l, r] = s.columns.map((c) => D.values[measure][c][i]);
        if (l === null || r === null) return;
        pairs.push({ xv: l, yv: r, color, link: linkOf(i, s, 0), text: `${nameOf(i)}: left ${show(l)}, right ${show(r)} ${m.unit}` });
      });
    }
    scatter("chart-sides", pairs, `left: ${title}`, `right: ${title}`, `${s.name}: left against right`, "equal");
    drawBy(s, measure, m, color);
    drawTime(s, measure, m, color);
  }

  function drawBy(s, measure, m, color) {
    const c = D.covariates[$("covariate").value];
    $("figure-by").hidden = !c;
    if (!c) return;
    $("title-by").textContent = `Against ${c.title}`;
    const dots = [];
    D.records.forEach((_, i) => {
      const v = isFirst(i) ? bothSides(s, measure, i) : null;
      if (v === null || c.values[i] === null) return;
      dots.push({ i, xv: c.values[i], yv: v, color, flag: "w", link: linkOf(i, s, 0), text: `${nameOf(i)}: ${show(v)} ${m.unit}, ${c.levels.length ? c.levels[c.values[i]] : show(c.values[i])}` });
    });
    const place = Number($("one").value);
    const f = D.findings.find((t) => t.by === c.name && t.at === place && t.m === measure);
    $("text-by").textContent = !f ? "" : f.groups.length
      ? `${f.groups[0]} − ${f.groups[1]}: Hedges' g ${interval(f, "hedges_g")}, p ${pShow(f.p_welch)}, corrected ${pShow(f.p_holm)}.`
      : `Spearman's ρ ${interval(f, "spearman_rho")}, p ${pShow(f.p_spearman)}, corrected ${pShow(f.p_holm)}, n ${f.n}.`;
    if (!c.levels.length) return scatter("chart-by", dots, c.title, `${m.title}${unit(m)}`, `${s.name} against ${c.title}`);
    return levels("chart-by", dots, c, m, `${s.name} by ${c.title}`, color);
  }

  function levels(id, dots, c, m, label, color) {
    if (!dots.length) return empty(id, "No values.");
    const width = 420, height = 340, left = 62, bottom = 44;
    const ys = dots.map((d) => d.yv), low = Math.min(...ys), high = Math.max(...ys);
    const yr = [low - 0.05 * (high - low || 1), high + 0.05 * (high - low || 1)];
    const y = linear(...yr, height - bottom, 10), wide = (width - 8 - left) / c.levels.length;
    const root = canvas(id, width, height, label);
    frame(root, null, yr, null, y, { left, bottom, width, height, xTitle: "", yTitle: `${m.title}${unit(m)}` });
    c.levels.forEach((level, k) => {
      const middle = left + wide * (k + 0.5), own = dots.filter((d) => d.xv === k);
      for (const d of own) {
        d.x = middle + jitter(d.i) * wide * 0.45; d.y = y(d.yv);
        svg("circle", { cx: d.x, cy: d.y, r: 3, fill: color, "fill-opacity": 0.55 }, root);
      }
      if (own.length) svg("path", { stroke: INK, "stroke-width": 2.5, d: `M${middle - wide * 0.3} ${y(median(own.map((d) => d.yv)))}h${wide * 0.6}` }, root);
      svg("text", { x: middle, y: height - bottom + 17, "text-anchor": "middle" }, root, level.length > 18 ? `${level.slice(0, 17)}…` : level);
      svg("text", { class: "soft", x: middle, y: height - bottom + 33, "text-anchor": "middle" }, root, `n ${own.length}`);
    });
    watch(root, dots, 10);
    return undefined;
  }

  function drawTime(s, measure, m, color) {
    const sessions = D.sessions.filter((name) => name !== "n/a");
    $("figure-time").hidden = sessions.length < 2;
    if (sessions.length < 2) return undefined;
    const people = new Map(), dots = [];
    D.records.forEach(([participant, session], i) => {
      const v = bothSides(s, measure, i), k = sessions.indexOf(session);
      if (v === null || k < 0) return;
      const dot = { i, xv: k, yv: v, link: linkOf(i, s, 0), text: `${nameOf(i)}: ${show(v)} ${m.unit}` };
      dots.push(dot);
      if (!people.has(participant)) people.set(participant, []);
      people.get(participant).push(dot);
    });
    if (!dots.length) return empty("chart-time", "No values.");
    const width = 420, height = 340, left = 62, bottom = 44;
    const ys = dots.map((d) => d.yv), low = Math.min(...ys), high = Math.max(...ys);
    const yr = [low - 0.05 * (high - low || 1), high + 0.05 * (high - low || 1)];
    const y = linear(...yr, height - bottom, 10), x = linear(0, sessions.length - 1, left + 30, width - 40);
    const root = canvas("chart-time", width, height, `${s.name} over the sessions`);
    frame(root, null, yr, null, y, { left, bottom, width, height, xTitle: "", yTitle: `${m.title}${unit(m)}` });
    for (const d of dots) { d.x = x(d.xv); d.y = y(d.yv); }
    for (const own of people.values()) {
      own.sort((a, b) => a.xv - b.xv);
      svg("path", { fill: "none", stroke: color, "stroke-opacity": 0.35, d: own.map((d, k) => `${k ? "L" : "M"}${d.x} ${d.y}`).join("") || "M0 0" }, root);
    }
    const mids = sessions.map((_, k) => dots.filter((d) => d.xv === k).map((d) => d.yv));
    const line = mids.map((v, k) => (v.length ? [x(k), y(median(v))] : null)).filter(Boolean);
    svg("path", { fill: "none", stroke: INK, "stroke-width": 3, d: line.map(([a, b], k) => `${k ? "L" : "M"}${a} ${b}`).join("") }, root);
    sessions.forEach((name, k) => svg("text", { x: x(k), y: height - bottom + 18, "text-anchor": "middle" }, root, name));
    watch(root, dots, 10);
    return undefined;
  }

  // ------------------------------------------------------------- asymmetry

  function drawAsymmetry() {
    const session = $("session").value || D.sessions[0], k = D.sessions.indexOf(session);
    const rows = [];
    D.asymmetry.forEach((a, place) => {
      const s = D.structures[place];
      if (!a.values || s.kind === "bone" || s.kind === "fat") return;
      const dots = [];
      a.values.forEach((value, i) => {
        if (value === null || !inSession(i, session)) return;
        dots.push({ i, value, flag: "w", link: linkOf(i, s, 0), text: `${nameOf(i)}: ${s.name} ${value > 0 ? "+" : ""}${show(value)} %` });
      });
      if (!a.boxes[k]) return;
      rows.push({
        name: s.kind === "compartment" ? `${s.name} (all)` : s.name,
        pick: () => { $("one").value = place; drawOne(); $("structure").scrollIntoView(); },
        strips: [{ color: colorsOf(s)[0], box: a.boxes[k], dots }],
      });
    });
    if (!rows.length) return empty("chart-asymmetry", "No structure is in view as a whole on both sides.");
    // As in the figures for papers: a few outliers must not squeeze the rest.
    const ends = rows.flatMap((r) => [Math.abs(r.strips[0].box[1]), Math.abs(r.strips[0].box[5])]);
    const reach = Math.max(20, 1.5 * Math.max(...ends));
    for (const row of rows) {
      for (const dot of row.strips[0].dots) dot.value = Math.max(-reach, Math.min(reach, dot.value));
    }
    return stripChart("chart-asymmetry", rows, "right larger  ←  asymmetry of volume (%)  →  left larger", "Asymmetry of volume of each pair of structures", reach);
  }

  // ------------------------------------------------------ forests of effects

  const fixed = (value, digits) => value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1");
  const DIGITS = { hedges_g: 2, spearman_rho: 2, pearson_r: 2, percent: 1 };
  function interval(f, name) {
    const digits = DIGITS[name];
    const [v, low, high] = ["", "_low", "_high"].map((end) => f[name + end])
      .map((value) => (digits ? fixed(value, digits) : show(value)));
    return `${v} [${low}, ${high}]`;
  }

  function forest(id, list, name, axis, label) {
    const width = 1060, left = 230, right = 210, head = 30, tall = 24;
    const height = head + list.length * tall + 36;
    const ends = list.flatMap((f) => [f[`${name}_low`], f[`${name}_high`]]);
    const low = Math.min(0, ...ends), high = Math.max(0, ...ends);
    const x = linear(low, high, left, width - right), bottom = head + list.length * tall;
    const root = canvas(id, width, height, label);
    list.forEach((_, r) => {
      if (r % 2) svg("rect", { class: "odd", x: 0, y: head + r * tall, width, height: tall }, root);
    });
    for (const t of ticks(low, high, 8)) {
      svg("path", { class: t === 0 ? "zero" : "grid", d: `M${x(t)} ${head}V${bottom}` }, root);
      svg("text", { class: "soft", x: x(t), y: bottom + 16, "text-anchor": "middle" }, root, show(t));
    }
    svg("text", { class: "soft", x: (left + width - right) / 2, y: bottom + 33, "text-anchor": "middle" }, root, axis);
    svg("text", { class: "soft", x: width - right + 14, y: head - 10 }, root, "estimate [95 % CI]");
    svg("text", { class: "soft", x: width - 4, y: head - 10, "text-anchor": "end" }, root, "p (Holm)");
    list.forEach((f, r) => {
      const y = head + tall * (r + 0.5), s = D.structures[f.at], sure = f.p_holm < 0.05;
      const color = f[name] < 0 ? ORANGE : BLUE;
      const text = s.kind === "compartment" ? `${s.name} (all)` : s.name;
      const called = svg("text", { class: "name", x: left - 12, y: y + 4.5, "text-anchor": "end", tabindex: 0, role: "link", "font-weight": s.kind === "muscle" ? 400 : 650 }, root, text);
      const pick = () => { $("one").value = f.at; $("one-measure").value = f.m; drawOne(); $("structure").scrollIntoView(); };
      called.addEventListener("click", pick);
      called.addEventListener("keydown", (event) => { if (event.key === "Enter") pick(); });
      svg("path", { stroke: color, "stroke-width": 2, d: `M${x(f[`${name}_low`])} ${y}H${x(f[`${name}_high`])}` }, root);
      svg("circle", { cx: x(f[name]), cy: y, r: 5, stroke: color, "stroke-width": 2, fill: sure ? color : "#fff" }, root);
      svg("text", { class: "soft", x: width - right + 14, y: y + 4 }, root, interval(f, name));
      svg("text", { class: "soft", x: width - 4, y: y + 4, "text-anchor": "end", "font-weight": sure ? 700 : 400 }, root, pShow(f.p_holm));
    });
  }

  function header(table, names, numbersFrom) {
    table.replaceChildren();
    const row = element("tr", element("thead", table));
    names.forEach((name, k) => element("th", row, name, k >= numbersFrom ? "n" : ""));
    element("tbody", table);
    sortable(table);
  }

  function line(table, cells, numbersFrom) {
    const row = element("tr", table.tBodies[0]);
    cells.forEach((text, k) => element("td", row, text, k >= numbersFrom ? "n" : ""));
  }

  const tests = D.findings.filter((f) => f.spearman_rho !== undefined || f.hedges_g !== undefined);
  const byOf = (f) => JSON.stringify([f.by, ...f.groups]);

  function drawForest() {
    const by = $("by").value, measure = $("by-measure").value, m = measureOf(measure);
    const list = tests.filter((f) => byOf(f) === by && f.m === measure), table = $("table-forest");
    table.replaceChildren();
    $("caption-forest").textContent = "";
    if (!list.length) return empty("chart-forest", "Too few participants with a whole structure.");
    const [name, one, two] = JSON.parse(by);
    if (one) {
      forest("chart-forest", list, "hedges_g", `larger in ${two}  ←  Hedges' g of ${m.title.toLowerCase()}  →  larger in ${one}`, `Hedges' g of ${m.title}, ${one} against ${two}`);
      $("caption-forest").textContent = `${name}: ${one} less ${two}, in pooled standard deviations.`;
      header(table, ["Structure", `n ${one}`, `n ${two}`, `mean ${one}`, `mean ${two}`, `Difference${unit(m)}`, "Hedges' g [95 % CI]", "p Welch", "Holm", "FDR", "Cliff's δ", "p Mann-Whitney"], 1);
      for (const f of list) line(table, [D.structures[f.at].name, f.n_1, f.n_2, show(f.mean_1), show(f.mean_2), interval(f, "difference"), interval(f, "hedges_g"), pShow(f.p_welch), pShow(f.p_holm), pShow(f.p_fdr), fixed(f.cliffs_delta, 2), pShow(f.p_mannwhitney)], 1);
    } else {
      forest("chart-forest", list, "spearman_rho", `Spearman's ρ of ${m.title.toLowerCase()} with ${name}`, `Spearman's rho of ${m.title} with ${name}`);
      header(table, ["Structure", "n", "Spearman's ρ [95 % CI]", "p", "Holm", "FDR", "Pearson's r [95 % CI]", `Slope${unit(m)} per unit`], 1);
      for (const f of list) line(table, [D.structures[f.at].name, f.n, interval(f, "spearman_rho"), pShow(f.p_spearman), pShow(f.p_holm), pShow(f.p_fdr), interval(f, "pearson_r"), show(f.slope)], 1);
    }
    return undefined;
  }

  const changes = D.findings.filter((f) => f.session_2 !== undefined || f.p_paired !== undefined);

  function drawChange() {
    const measure = $("change-measure").value, pair = $("change-pair").value, m = measureOf(measure);
    const list = changes.filter((f) => byOf(f) === pair && f.m === measure), table = $("table-change");
    table.replaceChildren();
    if (!list.length) return empty("chart-change", "Too few participants with both sessions.");
    const [before, after] = JSON.parse(pair), shown = list.filter((f) => f.percent !== undefined);
    if (shown.length) forest("chart-change", shown, "percent", `Change of ${m.title.toLowerCase()} from ${before} to ${after} (%)`, `Change of ${m.title}`);
    else empty("chart-change", "No percentages: a value of the earlier session is not positive.");
    header(table, ["Structure", "n", `mean ${before}`, `mean ${after}`, `Difference${unit(m)} [95 % CI]`, "% [95 % CI]", "p paired t", "Holm", "FDR", "p Wilcoxon"], 1);
    for (const f of list) line(table, [D.structures[f.at].name, f.n, show(f.mean_1), show(f.mean_2), interval(f, "difference"), f.percent === undefined ? "n/a" : interval(f, "percent"), pShow(f.p_paired), pShow(f.p_holm), pShow(f.p_fdr), pShow(f.p_wilcoxon)], 1);
    return undefined;
  }

  // ---------------------------------------------------------- sortable tables

  function keyOf(cell) {
    const text = cell.dataset.v ?? cell.textContent.trim();
    const number = parseFloat(text.replace("−", "-").replace(/^< /, ""));
    return Number.isNaN(number) || !/^[<+\-−\d.]/.test(text) ? text : number;
  }

  function sortable(table) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "descending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "ascending" : "descending");
        const rows = [...table.tBodies[0].rows].map((row) => [keyOf(row.cells[column]), row]);
        rows.sort(([a], [b]) => {
          const order = typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
          return down ? order : -order;
        });
        table.tBodies[0].append(...rows.map(([, row]) => row));
      });
    });
  }

  // --------------------------------------------------------------- beginning

  function unique(values) { return [...new Set(values)]; }

  function start() {
    for (const table of document.querySelectorAll("table.sortable")) if (table.tHead) sortable(table);
    if (!D.measures.length) {
      for (const id of ["chart-all", "chart-sides", "chart-asymmetry"]) empty(id, "No values.");
      $("groups-body").hidden = $("change-body").hidden = true;
      return;
    }
    const measures = D.measures.map((m) => [m.name, m.title]);
    for (const id of ["measure", "one-measure"]) options($(id), measures);
    options($("kind"), KINDS.map(([id, title]) => [id, title]));
    options($("session"), D.sessions.map((s) => [s, s === "n/a" ? "none" : s]));
    $("session-label").hidden = D.sessions.length < 2;
    options($("one"), D.structures.map((s, k) => [k, s.kind === "compartment" ? `${s.name} (all)` : s.name]));
    options($("covariate"), D.covariates.map((c, k) => [k, c.title]));
    $("covariate-label").hidden = !D.covariates.length;
    const pairs = unique(tests.map(byOf));
    options($("by"), pairs.map((p) => {
      const [name, one, two] = JSON.parse(p);
      return [p, one ? `${name}: ${one} − ${two}` : name];
    }));
    options($("by-measure"), measures.filter(([name]) => tests.some((f) => f.m === name)));
    $("groups-body").hidden = !tests.length;
    $("groups-empty").hidden = Boolean(tests.length);
    options($("change-pair"), unique(changes.map(byOf)).map((p) => [p, JSON.parse(p).join(" → ")]));
    options($("change-measure"), measures.filter(([name]) => changes.some((f) => f.m === name)));
    $("change-body").hidden = !changes.length;
    $("change-empty").hidden = Boolean(changes.length);
    for (const id of ["measure", "kind", "scale"]) $(id).addEventListener("change", drawAll);
    $("session").addEventListener("change", () => { drawAll(); drawAsymmetry(); });
    for (const id of ["one", "one-measure", "covariate"]) $(id).addEventListener("change", drawOne);
    for (const id of ["by", "by-measure"]) $(id).addEventListener("change", drawForest);
    for (const id of ["change-pair", "change-measure"]) $(id).addEventListener("change", drawChange);
    drawAll();
    drawOne();
    drawAsymmetry();
    if (tests.length) drawForest();
    if (changes.length) drawChange();
  }

  start();
})();

/* The first view: begin something, or go on with what was begun. */

import { get, post, projectPath, request } from "./api.js";
import { $, ask, bytes, h, plural, show, tell } from "./dom.js";
import { chooseFolder } from "./folders.js";

const STATES = {
  empty: "No images yet", surveying: "Looking at the images", questions: "Waits for your answers",
  ready: "Ready to run", running: "Running", done: "Finished", failed: "Stopped with a problem",
};

export async function home() {
  const listed = h("div", { id: "projects" }, h("p", { class: "wait" }, "Reading the list…"));
  show(
    h("h1", {}, "Leg muscles on Dixon MRI"),
    h("p", { class: "lead" }, "Give it the images of a scanner; it outlines each muscle, measures it, ",
      "and lets you correct the outlines. Everything stays on this computer. ",
      h("strong", {}, "For research, not for diagnosis.")),
    begin(),
    h("section", { "aria-labelledby": "begun" }, h("h2", { id: "begun" }, "Your projects"), listed),
  );
  await list(listed);
}

function begin() {
  const zone = h("section", { class: "card drop", id: "drop", "aria-labelledby": "new" },
    h("h2", { id: "new" }, "Begin with new images"),
    h("p", {}, "A folder of DICOM files as it came from the scanner, NIfTI files, or a BIDS dataset."),
    h("div", { class: "buttons" },
      h("button", { type: "button", class: "main", id: "choose", onclick: fromFolder }, "Choose a folder on this computer…"),
      fileButton("Copy a folder in…", { webkitdirectory: true, id: "pick-folder" }),
      fileButton("Copy files or a .zip in…", { id: "pick-files" })),
    h("p", { class: "hint" }, "Or drop a folder, files or a .zip here. What is dropped is copied; ",
      "a folder that you choose is only read."),
    h("div", { id: "upload", role: "status" }));
  const over = (event) => { event.preventDefault(); zone.classList.add("over"); };
  zone.addEventListener("dragenter", over);
  zone.addEventListener("dragover", over);
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    const files = await dropped(event.dataTransfer.items);
    if (files.length) upload(files);
  });
  return zone;
}

function fileButton(text, { id, webkitdirectory = false }) {
  const input = h("input", {
    type: "file", id, multiple: true, webkitdirectory, class: "away", tabindex: "-1", "aria-hidden": "true",
    onchange: () => {
      upload([...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file })));
      input.value = "";
    },
  });
  return h("span", {}, h("button", { type: "button", onclick: () => input.click() }, text), input);
}

async function fromFolder() {
  const path = await chooseFolder();
  if (!path) return;
  try {
    const name = path.split(/[\\/]/).filter(Boolean).pop() ?? path;
    const project = await post("/api/projects", { name, path });
    location.hash = `#/project/${encodeURIComponent(project.id)}`;
  } catch (error) {
    tell(error.message, "bad");
  }
}

/* ---- dropping and copying ---- */

/** All files of what was dropped, folders included, as { path, file }. */
export async function dropped(items) {
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const found = [];
  const walk = async (entry, folder) => {
    const path = folder + entry.name;
    if (entry.isFile) {
      found.push({ path, file: await new Promise((resolve, reject) => { entry.file(resolve, reject); }) });
      return;
    }
    const reader = entry.createReader();
    for (;;) { // a reader gives at most 100 entries at a time
      const part = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
      if (!part.length) return;
      for (const child of part) await walk(child, `${path}/`);
    }
  };
  for (const entry of entries) await walk(entry, "");
  return found;
}

const isHidden = (path) => path.split("/").some((part) => part.startsWith(".") || part === "__MACOSX");

async function upload(all) {
  const files = all.filter(({ path }) => !isHidden(path));
  if (!files.length) { tell("There is no file in it.", "bad"); return; }
  const total = files.reduce((sum, { file }) => sum + file.size, 0);
  const stop = new AbortController();
  const bar = h("progress", { max: Math.max(total, 1), value: 0, "aria-label": "Copying" });
  const text = h("p", {}, "");
  $("#upload").replaceChildren(bar, text,
    h("button", { type: "button", onclick: () => stop.abort() }, "Cancel copying"));
  const leave = (event) => event.preventDefault();
  addEventListener("beforeunload", leave);
  let project = null;
  try {
    const name = files[0].path.split("/")[0].replace(/\.(zip|nii|nii\.gz|dcm)$/i, "");
    project = await post("/api/projects", { name });
    let [done, count] = [0, 0];
    const queue = [...files];
    const worker = async () => {
      for (let next = queue.shift(); next; next = queue.shift()) {
        const path = `${projectPath(project.id, "files")}?path=${encodeURIComponent(next.path)}`;
        await request("PUT", path, { body: next.file, signal: stop.signal });
        done += next.file.size;
        count += 1;
        bar.value = done;
        text.textContent = `Copied ${count} of ${plural(files.length, "file")}, ${bytes(done)} of ${bytes(total)}`;
      }
    };
    await Promise.all([worker(), worker(), worker(), worker()]);
    await post(projectPath(project.id, "uploaded"));
    location.hash = `#/project/${encodeURIComponent(project.id)}`;
  } catch (error) {
    stop.abort();
    if (project) request("DELETE", projectPath(project.id)).catch(() => null);
    $("#upload").replaceChildren();
    if (error.name === "AbortError") tell("Copying was cancelled; nothing was kept.");
    else tell(`Copying stopped: ${error.message}`, "bad");
  } finally {
    removeEventListener("beforeunload", leave);
  }
}

/* ---- projects ---- */

async function list(place) {
  let projects;
  try {
    projects = await get("/api/projects");
  } catch (error) {
    place.replaceChildren(h("p", { class: "bad" }, error.message),
      h("button", { type: "button", onclick: () => list(place) }, "Try again"));
    return;
  }
  if (!projects.length) {
    place.replaceChildren(h("p", { class: "hint" }, "Nothing yet. Projects that you begin are listed here, and stay when this page is closed."));
    return;
  }
  place.replaceChildren(h("ul", { class: "projects" }, projects.map((project) => h("li", { class: "card" },
    h("a", { href: `#/project/${encodeURIComponent(project.id)}` }, project.name),
    h("span", { class: `state ${project.state}` }, STATES[project.state] ?? project.state),
    h("time", { datetime: project.created, class: "hint" }, when(project.created)),
    h("button", {
      type: "button", class: "quiet", "aria-label": `Remove the project ${project.name}`,
      onclick: () => remove(project, place),
    }, "Remove…")))));
}

const when = (text) => {
  const date = new Date(typeof text === "number" ? text * 1000 : text);
  return Number.isNaN(date.getTime()) ? String(text ?? "") : date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
};

async function remove(project, place) {
  const answer = await ask(`Remove “${project.name}”?`,
    h("p", {}, "Its results and corrections are deleted from this program's folder. The images that you gave it stay where they are."),
    [["", "Keep it"], ["yes", "Remove it", "danger"]]);
  if (answer !== "yes") return;
  try {
    await request("DELETE", projectPath(project.id));
    tell(`“${project.name}” was removed.`);
  } catch (error) {
    tell(error.message, "bad");
  }
  await list(place);
}


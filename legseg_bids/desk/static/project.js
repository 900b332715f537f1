/* A project: what was found, questions about it, the run, and its results. */

import { follow, get, getSession, post, projectPath, put } from "./api.js";
import { $, duration, h, plural, show, tell } from "./dom.js";
import { gallery, take } from "./gallery.js";

const STEPS = [
  ["images", "Images"], ["found", "What was found"], ["run", "Run"], ["results", "Results"],
];
/* Exit code of a run that refused the dataset: the BIDS validator found an error in it. */
const INVALID = 16;
const STEP_OF = { empty: 0, surveying: 0, questions: 1, ready: 1, running: 2, failed: 2, done: 3 };
const ROLES = {
  opposed: "opposed-phase image", in_phase: "in-phase image", water: "water image", fat: "fat image",
  echo: "one echo of several (magnitude)", echo_phase: "one echo of several (phase)",
  echo_real: "one echo of several (real part)", echo_imaginary: "one echo of several (imaginary part)",
  leave_out: "nothing of use: leave it out",
};

/** Show a project and follow it until the person leaves. */
export async function project(trail, id) {
  let state = await get(projectPath(id));
  const facts = await getSession();
  trail(["Projects", "#/"], [state.name, ""]);
  const steps = h("ol", { class: "steps", "aria-label": "Steps" });
  const place = h("div", { id: "project" });
  show(h("h1", {}, state.name), steps, place);
  let drawn = "";
  const draw = (next) => {
    state = next;
    const at = STEP_OF[state.state] ?? 0;
    steps.replaceChildren(...STEPS.map(([, text], i) => h("li", {
      class: i < at ? "past" : i === at ? "now" : "", "aria-current": i === at ? "step" : null,
    }, text)));
    const key = JSON.stringify([state.state, state.state === "running" ? 0 : state.found, state.questions, state.job?.id]);
    if (key === drawn) { // the same view: only its numbers move on
      if (state.state === "running" || state.state === "surveying") progress(state.job);
      return;
    }
    drawn = key;
    const view = { empty, surveying, questions, ready, running, done, failed }[state.state] ?? failed;
    place.replaceChildren(...[view(state, facts, draw)].flat());
    if (state.state === "running" || state.state === "surveying") progress(state.job);
  };
  draw(state);
  const end = follow(id, draw);
  return () => { end(); };
}

/** Send something; say so if it fails; show the state that follows. */
async function send(button, action, id, draw) {
  button.disabled = true;
  try {
    await action();
    draw(await get(projectPath(id)));
  } catch (error) {
    tell(error.message, "bad");
  }
  button.disabled = false;
}

const empty = () => h("section", { class: "card" }, h("p", {}, "There are no images in this project yet. If you were copying them when this page was closed, begin again."),
  h("a", { href: "#/" }, "Back to the start"));

/* ---- while it works ---- */

const surveying = (state) => h("section", { class: "card" }, h("h2", {}, "Looking at the images"),
  h("p", { class: "hint" }, "What each of them shows is read from the files. Nothing is changed."),
  meter(), cancel(state));

const running = (state) => h("section", { class: "card" }, h("h2", {}, "Outlining the muscles"),
  meter(),
  h("p", { class: "hint" }, "You can close this page or the lid: it goes on as long as the computer is awake and the program runs, and what is finished stays finished."),
  cancel(state));

const meter = () => h("div", { class: "meter" },
  h("progress", { id: "progress", "aria-labelledby": "progress-text" }),
  h("p", { id: "progress-text", role: "status" }, "Starting…"),
  h("p", { id: "progress-line", class: "hint" }));

function progress(job) {
  const bar = $("#progress");
  if (!bar || !job) return;
  if (job.total) { bar.max = job.total; bar.value = job.done; } else bar.removeAttribute("value");
  const left = job.seconds_left ? `, ${duration(job.seconds_left)} left` : "";
  const what = plural(job.total, job.kind === "run" ? "image" : "series", job.kind === "run" ? "images" : "series");
  const text = job.queued ? "Waiting for its turn…" : job.total ? `${job.done} of ${what} done${left}` : "Working…";
  if ($("#progress-text").textContent !== text) $("#progress-text").textContent = text;
  $("#progress-line").textContent = job.line ?? "";
}

const cancel = (state) => h("button", {
  type: "button", id: "cancel",
  onclick: (event) => send(event.target, () => post(projectPath(state.id, "cancel")), state.id, () => tell("Cancelling: the step at hand is still finished.")),
}, "Cancel");

/* ---- what was found ---- */

function stations({ found }) {
  const rows = found?.stations ?? [];
  if (!rows.length) return h("p", {}, "No images that can be used were found.");
  const name = (text) => text ? /_chunk-(\w+)/.exec(text)?.[1] ?? text : "–";
  const text = (image) => h("li", {}, h("span", { class: "role" }, ROLES[image.role] ?? image.role), " ",
    h("span", { class: "hint" }, image.name));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Stations" },
    h("table", { id: "stations" },
      h("caption", {}, `${plural(found.participants, "person", "people")}, ${plural(rows.length, "station")}. `,
        h("span", { class: "hint" }, "A station is one position of the table: one part of the legs.")),
      h("thead", {}, h("tr", {}, ["Person", "Session", "Station", "Images"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, rows.map((row) => h("tr", {},
        h("th", { scope: "row" }, row.participant), h("td", {}, row.session || "–"), h("td", { title: row.station }, name(row.station)),
        h("td", {}, h("ul", { class: "images" }, row.images.map(text))))))));
}

const problems = ({ found }) => found?.problems?.length
  ? h("div", { class: "warnings", role: "note" }, h("h3", {}, "Look at this first"),
    h("ul", {}, found.problems.map((line) => h("li", {}, line))))
  : null;

function ready(state, facts, draw) {
  const reports = h("input", { type: "checkbox", id: "reports", checked: true });
  const cancelled = state.job?.state === "cancelled";
  const start = (event) => send(event.target, () => post(projectPath(state.id, "run"), { options: { reports: reports.checked } }), state.id, draw);
  const any = state.found?.stations?.length;
  return [
    cancelled ? h("p", { class: "note", role: "status" }, "The run was cancelled. What was finished is kept; start again to go on.") : null,
    h("section", { class: "card" }, h("h2", {}, "What was found"), problems(state), stations(state)),
    any ? h("section", { class: "card" }, h("h2", {}, "Run"),
      h("p", {}, "The muscles of each station are outlined and measured. On an ordinary computer this takes about a minute for each station."),
      h("p", {}, h("label", {}, reports, " Also write a report page for each person")),
      h("p", { class: "hint" }, `Networks: ${(facts.models ?? []).map((m) => m.name ?? m).join(", ")} · legseg-bids ${facts.version}`),
      h("button", { type: "button", class: "main", id: "run", onclick: start }, "Outline the muscles")) : null,
  ].filter(Boolean);
}

/** Images of the last run that have no result, and why. */
function without({ job }) {
  const lost = (job?.outcomes ?? []).filter(({ status }) => ["failed", "skipped"].includes(status));
  return lost.length ? h("div", { class: "warnings", role: "note" }, h("h3", {}, "Images without a result"),
    h("ul", {}, lost.map(({ image, message }) => h("li", {}, h("strong", {}, image), message ? `: ${message}` : "")))) : null;
}

/* ---- questions ---- */

/* The names of the mapping file mean nothing to a person: the choices stand in the field. */
const plainly = (text) => (text ?? "").replace(/; [\w, ]*\bleave_out\?/, "");

function questions(state, facts, draw) {
  const roles = (facts.roles ?? Object.keys(ROLES).map((key) => ({ key }))).map(({ key, title }) => ({ key, title: ROLES[key] ?? title ?? key }));
  const rows = state.questions.map((question) => {
    const guess = typeof question.guess === "object" && question.guess ? question.guess : { role: question.guess };
    const field = (key, label) => h("input", {
      type: "text", name: key, value: guess[key] ?? "", size: 8, "aria-label": `${label} of ${question.description}`,
      required: key === "participant", autocomplete: "off",
    });
    const role = h("select", { name: "role", required: true, "aria-label": `What ${question.description} shows` },
      h("option", { value: "" }, "– choose –"),
      roles.map(({ key, title }) => h("option", { value: key, selected: key !== "" && key === guess.role }, title)));
    return h("tr", { "data-id": question.id, "data-description": question.description },
      h("th", { scope: "row" }, question.description, h("span", { class: "hint block" }, plainly(question.question)),
        h("span", { class: "hint block" }, [question.vendor, question.images ? plural(question.images, "image") : ""].filter(Boolean).join(", "))),
      h("td", {}, role), h("td", {}, field("participant", "Person")),
      h("td", {}, field("session", "Session")), h("td", {}, field("station", "Station")));
  });
  const body = h("tbody", {}, rows);
  const same = (event) => { // series that are called the same show the same: one answer for all
    if (event.target.name !== "role") return;
    const row = event.target.closest("tr");
    for (const other of rows) {
      const select = $("select", other);
      if (other.dataset.description === row.dataset.description && !select.value) select.value = event.target.value;
    }
  };
  body.addEventListener("change", same);
  const form = h("form", { class: "card", id: "questions" },
    h("h2", {}, plural(rows.length, "question", "questions"), " about your images"),
    h("p", {}, "The files do not say clearly what these show. Please help: the ",
      h("strong", {}, "opposed-phase image"), " (also “out of phase”, OP) is the one in which edges between muscle and fat are black lines."),
    problems(state),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Questions" },
      h("table", {}, h("thead", {}, h("tr", {}, ["Series", "It shows", "Person", "Session", "Station"].map((t) => h("th", { scope: "col" }, t)))), body)),
    h("button", { type: "submit", class: "main" }, "Go on"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const answers = rows.map((row) => ({
      id: row.dataset.id,
      ...Object.fromEntries(["participant", "session", "role", "station"].map((key) => [key, $(`[name=${key}]`, row).value.trim()])),
    }));
    send($("button[type=submit]", form), () => put(projectPath(state.id, "answers"), { rows: answers }), state.id, draw);
  });
  return [form, state.found?.stations?.length
    ? h("section", { class: "card" }, h("h2", {}, "Clear already"), stations(state)) : null].filter(Boolean);
}

/* ---- the end ---- */

const failed = (state, facts, draw) => {
  const again = (options) => (event) => send(event.target, () => post(projectPath(state.id, "run"), { options }), state.id, draw);
  const any = state.found?.stations?.length;
  return [
    h("section", { class: "card" }, h("h2", {}, "It stopped with a problem"),
      h("p", { class: "bad" }, state.job?.line || "The reason is not known; the window of the program may tell more."),
      problems(state), without(state),
      h("div", { class: "buttons" },
        any ? h("button", { type: "button", class: "main", onclick: again({ reports: true }) }, state.job?.interrupted ? "Go on" : "Try again") : null,
        state.job?.exit_code === INVALID ? h("button", { type: "button", onclick: again({ reports: true, validate: false }) }, "Try without checking the dataset") : null,
        h("a", { href: "#/" }, "Begin with other images"))),
    state.results ? h("section", { "aria-labelledby": "results-title" }, h("h2", { id: "results-title" }, "What is finished"), gallery(state.id)) : null,
    state.results ? take(state.id) : null,
  ].filter(Boolean);
};

function done(state, facts, draw) {
  const again = (event) => send(event.target, () => post(projectPath(state.id, "run"), { options: { reports: true } }), state.id, draw);
  return [
    h("section", { "aria-labelledby": "results-title" }, h("h2", { id: "results-title", class: "away" }, "Results"),
      problems(state), without(state), gallery(state.id)),
    take(state.id),
    h("details", { class: "card" }, h("summary", {}, "What was found"), stations(state),
      h("p", { class: "hint" }, "Only what is new or not finished is computed."),
      h("button", { type: "button", onclick: again }, "Run again")),
  ];
}

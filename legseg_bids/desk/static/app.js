/* Which view is shown, and what all views share: help, the state of the line. */

import { getSession, onLine } from "./api.js";
import { $, h, show } from "./dom.js";
import { home } from "./home.js";
import { actionOf, showHelp } from "./keys.js";
import { project } from "./project.js";
import { result } from "./result.js";

const VIEWS = [
  [/^#\/project\/([^/]+)\/result\/([^/]+)$/, result],
  [/^#\/project\/([^/]+)$/, project],
  [/^(#\/?)?$/, home],
];

let leave = null;

/** Where the person is, as links. */
export function trail(...steps) {
  const list = h("ol", {}, steps.map(([text, href], i) => h("li", {}, i === steps.length - 1
    ? h("span", { "aria-current": "page" }, text) : h("a", { href }, text))));
  $("#trail").replaceChildren(list);
}

async function route() {
  if (location.hash === "#main") return; // the link that skips the head of the page
  if (leave && (await leave()) === false) return;
  leave = null;
  document.body.className = "";
  $("#trail").replaceChildren();
  $("#actions").replaceChildren();
  const found = VIEWS.map(([pattern, view]) => [pattern.exec(location.hash), view]).find(([match]) => match);
  if (!found) {
    show(h("h1", {}, "There is nothing here"), h("p", {}, h("a", { href: "#/" }, "Go to the start")));
    return;
  }
  try {
    await getSession();
    leave = await found[1](trail, ...found[0].slice(1).map(decodeURIComponent)) ?? null;
  } catch (error) {
    if (error.status === 401) { $("#main").replaceChildren(); return; } // the bar says what to do
    show(h("h1", {}, error.status === 404 ? "This is not here any more" : "This could not be shown"),
      h("p", { class: "bad" }, error.message),
      h("div", { class: "buttons" },
        h("button", { type: "button", onclick: route }, "Try again"),
        h("a", { href: "#/" }, "Go to the start")));
  }
}

onLine(({ up, allowed }) => {
  const bar = $("#line");
  bar.hidden = up && allowed;
  bar.textContent = !up
    ? "The program does not answer. It may have been closed: start it again, this page reconnects by itself. What you drew is kept here."
    : "This page is not known to the program any more. Open the link that the program printed when it was started.";
  if (up && allowed && !$("#main").firstElementChild) route();
  if (up && allowed && $("#main h1")?.textContent === "This could not be shown") route();
});

$("#help").addEventListener("click", showHelp);
addEventListener("keydown", (event) => {
  if (actionOf(event) !== "help") return;
  event.preventDefault();
  showHelp();
});
addEventListener("hashchange", route);
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => event.preventDefault()); // a file that misses must not replace the page
route();

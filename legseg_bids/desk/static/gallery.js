/* The results of a project: a picture of each, how far to trust it, and the ways on from there. */

import { get, projectPath, request } from "./api.js";
import { ask, h, plural, tell } from "./dom.js";

const QUALITY = { good: ["✓", "good"], check: ["!", "to check"], poor: ["✗", "poor"] };

/** A place that fills with the results, person by person. */
export function gallery(id) {
  const place = h("div", { id: "results" }, h("p", { class: "wait" }, "Reading the results…"));
  const read = async () => {
    try {
      place.replaceChildren(...people(await get(projectPath(id, "results")), id, read));
    } catch (error) {
      place.replaceChildren(h("p", { class: "bad" }, error.message),
        h("button", { type: "button", onclick: read }, "Try again"));
    }
  };
  read();
  return place;
}

function people(results, id, redo) {
  if (!results.length) return [h("p", {}, "There are no results.")];
  const who = ({ participant, session }) => `Person ${participant}${session ? `, session ${session}` : ""}`;
  return [...new Set(results.map(who))].map((name) => {
    const own = results.filter((one) => who(one) === name);
    const [first, rest] = [own.filter(({ replaced }) => !replaced), own.filter(({ replaced }) => replaced)];
    const listed = (some) => h("ul", { class: "results" }, some.map((one) => card(id, one, redo)));
    return h("section", { "aria-label": name, class: first.length > 1 ? "many" : "" }, h("h2", {}, name), listed(first),
      rest.length ? h("details", { class: "stations" }, h("summary", {}, `Its ${plural(rest.length, "single station")}`),
        h("p", { class: "hint" }, "The numbers of the whole leg stand for these: correct the whole leg."), listed(rest)) : null);
  });
}

function card(id, one, redo) {
  const to = `#/project/${encodeURIComponent(id)}/result/${encodeURIComponent(one.id)}`;
  const path = projectPath(id, "results", one.id);
  return h("li", { class: "card result" },
    h("a", { href: to, class: "picture", tabindex: "-1", "aria-hidden": "true" },
      h("img", { src: `${path}/overlay.png?r=${one.revision}`, alt: "", loading: "lazy" })),
    h("div", { class: "facts" },
      h("a", { href: to, class: "title" }, one.title || one.image),
      Object.entries(QUALITY).map(([word, [mark, text]]) => one.qualities?.[word]
        ? h("span", { class: `quality ${word}`, title: "How many structures" }, `${mark} ${one.qualities[word]} ${text}`) : null),
      one.corrected ? h("span", { class: "tag" }, "corrected by hand") : null,
      one.draft ? h("span", { class: "tag" }, "correction not saved yet") : null,
      one.warnings?.length ? h("details", {}, h("summary", {}, plural(one.warnings.length, "warning")),
        h("ul", {}, one.warnings.map((line) => h("li", {}, line)))) : null),
    h("div", { class: "buttons" },
      h("a", { class: "button main", href: to }, "Look and correct"),
      h("a", { class: "button", href: `${path}/report`, target: "_blank", rel: "noopener" }, "Report"),
      one.corrected ? h("button", { type: "button", class: "quiet", onclick: () => uncorrect(id, one, redo) }, "Remove the correction…") : null));
}

async function uncorrect(id, one, redo) {
  const answer = await ask("Remove the correction?", h("p", {}, `${one.title}: the automatic result counts again, and what was drawn by hand is deleted.`),
    [["", "Keep it"], ["yes", "Remove it", "danger"]]);
  if (answer !== "yes") return;
  try {
    await request("DELETE", projectPath(id, "results", one.id, "correction"));
    tell("The automatic result counts again.");
  } catch (error) {
    tell(error.message, "bad");
  }
  redo();
}

/** Links to archives of the results. */
export const take = (id) => h("section", { class: "card" }, h("h2", {}, "Take it with you"),
  h("p", { class: "hint" }, "Where there is a correction, it is the correction that you get."),
  h("div", { class: "buttons" }, [
    ["tables", "Tables"], ["pictures", "Pictures"], ["labels", "Label images"], ["everything", "Everything"],
  ].map(([what, text]) => h("a", {
    class: "button", download: "", href: `${projectPath(id, "export")}?what=${what}`,
  }, `${text} (.zip)`))));

// What is shown, by the part of the address behind #: all runs, a run to try, or its training.

import * as api from "./api.js";
import { el } from "./dom.js";
import { changing } from "./changing.js";
import { clips } from "./clips.js";
import { gallery } from "./gallery.js";
import { molecules } from "./molecules.js";
import { overview } from "./overview.js";
import { texts } from "./texts.js";
import { training } from "./training.js";

const VIEWS = { generate: gallery, restore: changing, translate: changing, text: texts, molecules, video: clips };
const TRY = { generate: "Gallery", restore: "Restore", translate: "Translate", text: "Write", molecules: "Write", video: "Clips" };

let leave = null;

function place() {
  const [, kind, name, part] = location.hash.split("/");
  return kind === "run" ? { name: decodeURIComponent(name), part: part ?? "" } : { name: null, part: "" };
}

export const addressOf = (name, part = "") => `#/run/${encodeURIComponent(name)}${part && `/${part}`}`;

async function show() {
  const main = document.getElementById("main");
  leave?.abort();
  leave = new AbortController();
  const { signal } = leave;
  const runs = await api.trying(null, api.models);
  if (signal.aborted) return;
  if (!runs) {
    main.replaceChildren(el("p", { class: "card" }, "The server does not answer. ",
      el("button", { onclick: show }, "Try again")));
    return;
  }
  const here = place();
  const name = here.name ?? (runs.length === 1 ? runs[0].name : null);
  navigation(runs, name);
  if (name === null) {
    document.title = "sparring";
    main.replaceChildren(...overview(runs, addressOf));
    return;
  }
  const run = runs.find((one) => one.name === name);
  if (!run) {
    main.replaceChildren(el("p", { class: "card" }, `${name} is not served. `, el("a", { href: "#/" }, "All runs")));
    return;
  }
  document.title = `${run.name} · sparring`;
  const watching = here.part === "training" || !run.ready || !(run.task in VIEWS);
  const head = el("h1", {}, run.name, el("span", { class: `state ${run.state}` }, run.state));
  const lead = el("p", { class: "lead" }, about(run));
  const tab = (part, text) => el("a", { href: addressOf(run.name, part),
    "aria-current": (part === "training") === watching ? "page" : undefined }, text);
  const tabs = el("div", { class: "tabs", role: "navigation", "aria-label": "Views of this run" },
    run.ready && run.task in VIEWS && tab("", TRY[run.task]), tab("training", "Training"));
  const body = el("div", {});
  main.replaceChildren(head, lead, tabs, body);
  const view = watching ? training : VIEWS[run.task];
  view(body, run, signal);
}

function navigation(runs, name) {
  const entries = runs.map((run) => el("a", { href: addressOf(run.name),
    "aria-current": run.name === name ? "page" : undefined }, run.name));
  if (runs.length > 1) {
    entries.unshift(el("a", { href: "#/", "aria-current": name === null ? "page" : undefined }, "All runs"));
  }
  const nav = document.getElementById("runs");
  nav.hidden = runs.length < 2;
  nav.replaceChildren(...entries);
  nav.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
}

function about(run) {
  const size = run.resolution ? `, ${run.resolution[0]} × ${run.resolution[1]} pixels` : "";
  const what = { generate: `Pictures out of random numbers${size}`, text: "Texts, one symbol after another",
    molecules: run.longest === null ? "Molecules, each as a graph" : "Molecules, one symbol after another",
    translate: "Photographs in another style", video: `Clips out of random numbers${size}` };
  const damages = { inpaint: "Fills what you paint over", denoise: "Takes noise out of pictures",
    super: `Pictures ${run.scale} times as large` };
  const learned = run.data ? `; learned from ${run.data}` : "";
  return `${what[run.task] ?? damages[run.damage] ?? "Restores pictures"}${learned}.`;
}

addEventListener("hashchange", () => { show(); document.getElementById("main").focus({ preventScroll: true }); scrollTo(0, 0); });
show();

// All runs side by side: what each makes, its state, and its quality with the protocol that it holds under.

import * as api from "./api.js";
import { el } from "./dom.js";

export function overview(runs, addressOf) {
  const cards = runs.map((run) => {
    const show = el("div", { class: "show" });
    illustrate(run, show);
    return el("a", { class: "card run", href: addressOf(run.name) }, show, el("div", { class: "about" },
      el("h2", {}, run.name, el("span", { class: `state ${run.state}` }, run.state)),
      el("p", { class: "soft" }, facts(run)), measured(run.quality)));
  });
  return [el("h1", {}, runs.length === 1 ? "One run" : `${runs.length} runs`),
    el("p", { class: "lead" }, "Choose one to try it, or to see how it was trained."),
    el("div", { class: "runs" }, cards), comparison(runs, addressOf)].filter(Boolean);
}

function facts(run) {
  const size = run.resolution ? `${run.resolution[0]} × ${run.resolution[1]}, ` : "";
  return `${run.task}${run.damage ? `: ${run.damage}` : ""}, ${size}${run.images.toLocaleString("en")} seen`;
}

function measured(quality) {
  if (!quality) return null;
  return el("dl", { class: "facts" }, quality.metrics.slice(0, 3).map((one) =>
    el("div", {}, el("dt", {}, one.title), el("dd", {}, one.shown))));
}

// Samples of the run itself where it makes any, else what its training shows.
async function illustrate(run, show) {
  try {
    if (run.ready && run.task === "generate") {
      const made = await api.pictures({ run: run.name, n: 8, seed: 0 });
      if (run.resolution[0] <= 32) show.classList.add("coarse");
      show.replaceChildren(...made.map(({ source }) => el("img", { src: source, alt: "" })));
    } else if (run.ready && run.task === "video") {
      const { clips } = await api.clips({ run: run.name, n: Math.min(8, run.most_frames), seed: 0, frames: 1, format: "gif" });
      if (run.resolution[0] <= 32) show.classList.add("coarse");
      show.replaceChildren(...await Promise.all(clips.map(still)));
    } else if (run.ready && (run.task === "text" || run.task === "molecules")) {
      const answer = await (await api.sample({ run: run.name, n: 4, seed: 0 })).json();
      show.classList.add("words");
      show.replaceChildren(answer.texts.join("\n"));
    } else {
      const watch = await api.run(run.name);
      const name = watch.samples.find((one) => one.startsWith("after-") || one === "latest.png");
      if (!name) return;
      show.classList.add("whole");
      show.replaceChildren(await still(await (await api.sampleFile(run.name, name)).blob()));
    }
  } catch { /* the card stands without a picture */ }
}

// An image that is there; of a clip it is the first frame.
async function still(blob) {
  const src = URL.createObjectURL(blob);
  const image = el("img", { src, alt: "" });
  await image.decode();
  URL.revokeObjectURL(src);
  return image;
}

// Qualities under one protocol in one table; those of others do not compare.
function comparison(runs, addressOf) {
  const groups = new Map();
  for (const run of runs.filter((one) => one.quality?.metrics.length)) {
    const key = run.quality.comparable || run.name;
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  if (!groups.size) return null;
  return el("section", {}, el("h2", {}, "Quality"),
    el("p", { class: "soft" }, "One table for each protocol: figures of different protocols, or against different data, do not compare."),
    [...groups.values()].map((group) => {
      const names = [...new Map(group.flatMap((run) => run.quality.metrics.map((one) => [one.name, one.title])))].slice(0, 7);
      return el("figure", {}, el("div", { class: "card scroll" }, el("table", {},
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Run"), names.map(([, title]) => el("th", { scope: "col" }, title)))),
        el("tbody", {}, group.map((run) => el("tr", {},
          el("th", { scope: "row" }, el("a", { href: addressOf(run.name, "training") }, run.name)),
          names.map(([name]) => {
            const one = run.quality.metrics.find((metric) => metric.name === name);
            return el("td", {}, one ? one.shown : "-", one && one.interval !== "-" && el("div", { class: "soft" }, one.interval));
          })))))), el("figcaption", {}, group[0].quality.protocol));
    }));
}

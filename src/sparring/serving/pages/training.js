// How a run goes: progress, samples as they came about, curves, events; looked at again while it is trained.

import * as api from "./api.js";
import { el } from "./dom.js";

const WHILE_TRAINING = 3000;
const OTHERWISE = 20_000;
const THINGS = { text: "texts", molecules: "molecules", video: "clips" };

export function training(body, run, signal) {
  let known = null;
  let followed = true;
  let moment = null;
  let last = null;
  const box = el("div", {});
  body.append(box);

  async function look() {
    if (signal.aborted) return;
    let state = run.state;
    try {
      if (!document.hidden) {
        const now = await api.changed(run.name);
        if (now !== known && !signal.aborted) {
          const watch = await api.run(run.name);
          known = watch.changed;
          state = watch.card.state;
          if (!signal.aborted) show(watch);
        }
      }
    } catch (error) {
      if (known === null) box.replaceChildren(el("p", { class: "card soft" }, error.message));
    }
    run.state = state;
    setTimeout(look, ["running", "just begun"].includes(run.state) ? WHILE_TRAINING : OTHERWISE);
  }

  function show(watch) {
    const sliding = document.activeElement?.matches?.("figure input[type=range]");
    const open = [...box.querySelectorAll("details[open]")].map((one) => one.id);
    const pill = document.querySelector("h1 .state");
    if (pill) { pill.textContent = watch.card.state; pill.className = `state ${watch.card.state}`; }
    box.replaceChildren(...page(watch));
    for (const id of open) box.querySelector(`#${id}`)?.setAttribute("open", "");
    if (sliding) box.querySelector("figure input[type=range]")?.focus();
  }

  function page(watch) {
    return [
      watch.card.state === "running" && watch.share !== null && el("progress", { max: "1", value: `${watch.share}`,
        "aria-label": "How much of the training is done" }),
      el("p", { class: "lead" }, `${watch.headline} `, el("strong", {}, watch.verdict.replaceAll(" %", "\u00a0%"))),
      watch.warnings.length > 0 && el("ul", { class: "warnings", "aria-label": "What deserves attention" },
        watch.warnings.map((words) => el("li", {}, words))),
      el("div", { class: "top" }, samples(watch), el("div", {}, quality(watch.card.quality), table(watch.progress))),
      watch.charts.length > 0 && el("section", {}, el("h2", {}, "Curves"),
        el("p", { class: "soft" }, "Over what was seen; the legend gives the latest value. Point at a curve to read values off."),
        el("div", { class: "charts" }, watch.charts.map(chart))),
      watch.events.length > 0 && el("section", {}, el("h2", {}, "Events"), el("div", { class: "card scroll" },
        el("table", { class: "plain" }, el("tbody", {}, watch.events.map((one) => el("tr", {},
          el("th", { scope: "row" }, time(one.time)), el("td", {}, one.images.toLocaleString("en")),
          el("td", {}, el("strong", {}, one.event), ` ${one.message}`))))))),
      watch.choices.length > 0 && el("section", {}, el("h2", {}, "What was chosen, and why"),
        el("details", { class: "card scroll", id: "choices" }, el("summary", {}, `${watch.choices.length} settings`),
          el("table", {}, el("tbody", {}, watch.choices.map((one) => el("tr", {}, el("th", { scope: "row" }, one.setting),
            el("td", {}, one.value), el("td", {}, one.reason))))))),
    ].filter(Boolean);
  }

  // The grids of a run, from the first to the last, under a slider; the last one is followed until another is chosen.
  function samples(watch) {
    const grids = watch.samples.filter((name) => name.startsWith("grid-"));
    const names = grids.length ? grids : watch.samples.filter((name) => name.startsWith("latest"));
    if (!names.length) return el("p", { class: "card soft" }, "No samples yet. They appear here at the first evaluation.");
    const shown = el("div", {}, last);
    const caption = el("figcaption", {});
    const put = (name) => api.trying(shown, async () => {
      moment = name;
      const seen = Number(name.match(/\d+/)?.[0] ?? watch.card.images);
      caption.textContent = `After ${seen.toLocaleString("en")} ${THINGS[run.task] ?? "images"}, from the same random numbers all along.`;
      const answer = await api.sampleFile(run.name, name);
      if (name.endsWith(".png")) {
        const image = el("img", { class: "coarse", alt: caption.textContent });
        const picture = await answer.blob();
        await new Promise((loaded, failed) => Object.assign(image, { onload: loaded, onerror: failed, src: URL.createObjectURL(picture) }));
        URL.revokeObjectURL(image.src);
        if (moment === name) { last = image; shown.replaceChildren(image); }
      } else {
        const lines = (await answer.text()).trimEnd().split("\n").slice(0, 16);
        const written = name.endsWith(".jsonl") ? lines.map((line) => JSON.parse(line)) : lines;
        if (moment === name) shown.replaceChildren(el("ol", {}, written.map((line) => el("li", {}, line))));
      }
    });
    const at = followed || !names.includes(moment) ? names.length - 1 : names.indexOf(moment);
    const range = el("input", { type: "range", min: "0", max: `${names.length - 1}`, value: `${at}`,
      "aria-label": "Moment of the training", oninput: () => {
        followed = Number(range.value) === names.length - 1;
        put(names[Number(range.value)]);
      } });
    put(names[at]);
    return el("figure", { class: "card" }, shown, names.length > 1 && range, caption);
  }

  look();
}

export function quality(found) {
  if (!found) return el("p", { class: "card soft" }, "Quality has not been measured yet.");
  return el("div", {}, el("div", { class: "tiles" }, found.metrics.slice(0, 6).map((one) => el("div", { class: "card tile" },
    el("span", {}, one.title), el("b", {}, one.shown),
    el("small", {}, one.interval === "-" ? `${one.better} is better` : `95 %: ${one.interval}; ${one.better} is better`)))),
  found.protocol && el("p", { class: "soft" }, `Protocol: ${found.protocol}. Figures of other protocols do not compare.`));
}

function table(rows) {
  return el("table", { class: "plain" }, el("tbody", {}, rows.map((row) => el("tr", {}, el("th", { scope: "row" }, row.name),
    el("td", { class: "right" }, row.value)))));
}

// The server draws the curves and escapes their texts.
function chart(drawn) {
  const picture = el("div", {});
  picture.innerHTML = drawn.svg;
  return el("figure", { class: "card" }, el("h3", {}, drawn.title), drawn.curves.map((curve, number) =>
    el("span", { class: `key key-${number}` }, `${curve.name} ${curve.last}`)), picture,
  el("figcaption", {}, el("strong", {}, "Healthy: "), drawn.healthy));
}

function time(iso) {
  const moment = new Date(iso);
  return Number.isNaN(moment.valueOf()) ? iso : moment.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

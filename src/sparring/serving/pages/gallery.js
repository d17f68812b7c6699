// Pictures out of random numbers: a gallery, each picture large, and a map of what lies between four of them.

import * as api from "./api.js";
import { inverting } from "./inverting.js";
import { latentMap } from "./map.js";
import { chips, download, el, field, newest, randomSeed, slider } from "./dom.js";

const ROWS = 4;
const SLIDERS = 6;
const TOGETHER = 256;
const BEST_OF = 64;
const JUDGED = 64;
export const COARSE = 32;

export function gallery(body, run, signal) {
  const [height, width] = run.resolution;
  const wish = { seed: 0, truncation: 1, label: null, count: 0, edit: {}, best: 1 };
  const shown = [];
  let wanted = 0;
  let complete = null;

  const seed = el("input", { type: "number", min: "0", step: "1", value: "0",
    onchange: () => { wish.seed = Math.max(0, Math.trunc(Number(seed.value)) || 0); seed.value = wish.seed; again(); } });
  const fresh = el("button", { class: "main", type: "button",
    onclick: () => { wish.seed = randomSeed(); seed.value = wish.seed; again(); } }, "New seed");
  const best = el("input", { type: "number", min: "1", max: `${BEST_OF}`, step: "1", value: "1",
    onchange: () => { wish.best = Math.min(BEST_OF, Math.max(1, Math.trunc(Number(best.value)) || 1)); best.value = wish.best;
      tellFiles(); redraw(); } });
  const controls = el("div", { class: "controls" },
    field("Seed", seed, { number: true }), fresh,
    slider("Truncation, from alike to varied", { min: 0, max: 1.5, step: 0.05, value: 1,
      onchange: (value) => { wish.truncation = value; redraw(); } }),
    run.chooses && field("Best of, by the discriminator", best));
  const classes = run.classes.length > 1 && chips("Class", "label",
    [[null, "as in the data"], ...run.classes.slice(0, 60).map((name, number) => [number, name])], null,
    (value) => { wish.label = value; again(); });

  const grid = el("div", { class: `gallery${height <= COARSE ? " coarse" : ""}`, role: "group", "aria-label": "Pictures" });
  grid.style.setProperty("--shape", `${width} / ${height}`);
  grid.style.setProperty("--cell", height <= 16 ? "88px" : height <= 64 ? "124px" : "172px");

  const wishes = () => ({ run: run.name, seed: wish.seed, truncation: wish.truncation, label: wish.label,
    edit: wish.edit, best_of: wish.best });

  // Where the discriminator chooses, a few pictures after the others, so that the first can be seen meanwhile; newer wishes
  // end it.
  function redraw() {
    wanted += 1;
    make();
  }

  const make = newest(() => api.trying(grid, async () => {
    const [mine, count, asked] = [wanted, wish.count, wishes()];
    const known = complete === JSON.stringify(asked) ? shown.length : 0;
    complete = null;
    if (asked.best_of > 1) {
      const step = Math.max(1, Math.floor(JUDGED / asked.best_of));
      for (let start = known; start < count; start += step) {
        const made = await api.pictures({ ...asked, start, n: Math.min(step, count - start) });
        if (mine !== wanted || signal.aborted) return;
        made.forEach((one, index) => show(one, start + index, asked));
      }
      complete = JSON.stringify(asked);
    } else {
      const parts = [];
      for (let start = 0; start < count; start += TOGETHER) {
        parts.push(api.pictures({ ...asked, start, n: Math.min(TOGETHER, count - start) }));
      }
      const made = (await Promise.all(parts)).flat();
      if (signal.aborted) return;
      made.forEach((one, index) => show(one, index, asked));
    }
    while (grid.children.length > count) grid.lastChild.remove();
    shown.splice(count);
  }));

  function show({ source, part }, index, asked) {
    shown[index] = { source, index, seed: asked.seed, best: asked.best_of, corner: part ?? { seed: asked.seed, index } };
    const old = grid.children[index];
    const image = old?.firstChild ?? el("img", { alt: "" });
    image.src = source;
    if (!old) grid.append(el("button", { type: "button", onclick: () => large.open(index) }, image));
    grid.children[index].setAttribute("aria-label", `Picture ${index} of seed ${asked.seed}, show large`);
  }

  const map = latentMap(run, () => ({ truncation: wish.truncation, label: wish.label, edit: wish.edit }), signal);
  const large = enlarged(run, () => shown, map.take);

  function again() {
    redraw();
    map.draw();
  }

  const edits = run.directions.length > 0 && editing(run.directions, (edit) => { wish.edit = edit; again(); });

  const more = el("button", { type: "button", onclick: () => { wish.count += rows(); tellFiles(); redraw(); } }, "More");
  const file = (accept, ending) => el("button", { type: "button", onclick: (event) => api.trying(event.target, async () => {
    const answer = await api.sample({ ...wishes(), n: fitting() }, accept);
    download(await answer.blob(), `${run.name}-seed-${wish.seed}${ending}`);
  }) });
  const [all, sheet] = [file("application/zip", ".zip"), file("image/png", ".png")];

  // As many of those that are shown as come with one request.
  function fitting() {
    return Math.min(wish.count, TOGETHER, wish.best > 1 ? Math.floor(run.most_judged / wish.best) : TOGETHER);
  }

  function tellFiles() {
    const which = fitting() < wish.count ? `the first ${fitting()}` : "all";
    all.textContent = `Download ${which} (zip)`;
    sheet.textContent = `Download ${which} as one picture`;
  }

  body.append(controls, ...(classes ? [el("div", { class: "controls" }, classes)] : []), ...(edits ? [edits] : []), grid,
    el("div", { class: "row" }, more, all, sheet), map.section, inverting(run, map.take, signal), large.dialog);
  wish.count = rows();
  tellFiles();
  redraw();
  map.draw();

  // Full rows, of as many columns as there is room for.
  function rows() {
    return ROWS * Math.max(4, getComputedStyle(grid).gridTemplateColumns.split(" ").length);
  }
}

// A slider for each direction that is saved with the run; all pictures move along it, and those of the map.
function editing(names, onchange) {
  let edit = {};
  const sliders = (some) => some.map((name) => slider(/^\d+$/.test(name) ? `Direction ${name}` : name,
    { min: -5, max: 5, step: 0.1, value: 0, onchange: (value) => { edit = { ...edit, [name]: value }; onchange(edit); } }));
  const rest = names.slice(SLIDERS);
  const box = el("details", { class: "card edits" }, el("summary", {}, "Edit along directions"),
    el("div", { class: "controls" }, sliders(names.slice(0, SLIDERS))),
    rest.length > 0 && el("details", {}, el("summary", {}, `${rest.length} weaker ones`),
      el("div", { class: "controls" }, sliders(rest))),
    el("button", { type: "button", onclick: () => {
      for (const one of box.querySelectorAll("input")) { one.value = "0"; one.dispatchEvent(new Event("input")); }
    } }, "All back to 0"));
  box.open = true;
  return box;
}

// One picture large, with a way to the next one, to a file and to the map.
function enlarged(run, shown, take) {
  const [height, width] = run.resolution;
  const image = el("img", { class: `large${height <= COARSE ? " coarse" : ""}`, alt: "" });
  image.style.setProperty("--shape", `${width} / ${height}`);
  const words = el("p", { class: "soft" });
  let at = 0;
  const go = (step) => { at = (at + step + shown().length) % shown().length; show(); };
  const show = () => {
    const one = shown()[at];
    image.src = one.source;
    image.alt = `Picture ${one.index} of seed ${one.seed}`;
    const best = one.best > 1 ? `, the best of ${one.best}` : "";
    words.textContent = `Seed ${one.seed}, picture ${one.index}${best}, ${width} × ${height} pixels. The same seed gives it again.`;
  };
  const dialog = el("dialog", { "aria-label": "One picture, large",
    onclick: (event) => { if (event.target === dialog) dialog.close(); },
    onkeydown: (event) => {
      if (event.key === "ArrowLeft") go(-1);
      if (event.key === "ArrowRight") go(1);
    } },
  image, el("div", { class: "row" }, words),
  el("div", { class: "row" },
    el("button", { type: "button", "aria-label": "The one before", onclick: () => go(-1) }, "←"),
    el("button", { type: "button", "aria-label": "The next one", onclick: () => go(1) }, "→"),
    el("button", { type: "button", onclick: () => { const one = shown()[at];
      download(one.source, `${run.name}-${one.seed}-${one.index}.png`); } }, "Download"),
    el("button", { type: "button", onclick: () => { take(shown()[at].corner); dialog.close(); } }, "Put on the map"),
    el("button", { type: "button", class: "main push", onclick: () => dialog.close() }, "Close")));
  return { dialog, open: (index) => { at = index; show(); dialog.showModal(); } };
}

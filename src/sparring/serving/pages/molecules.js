// Molecules, each drawn, with its SMILES under it; those of a scaffold if one is given.

import * as api from "./api.js";
import { download, el, field, newest, randomSeed, slider } from "./dom.js";
import { copying } from "./texts.js";

export function molecules(body, run, signal) {
  const wish = { temperature: 1, top_p: 1, seed: 0 };
  const written = run.longest !== null; // one symbol after another; others are drawn as graphs, whole
  const scaffold = el("input", { type: "text", maxLength: 1024, spellcheck: false, autocomplete: "off",
    placeholder: "A SMILES that all hold as a part, such as c1ccncc1; may be empty" });
  const number = el("select", {}, [6, 12, 24, 48].map((n) => el("option", { value: `${n}`, selected: n === 12 }, `${n}`)));
  const best = el("select", { disabled: !run.chooses }, [1, 4, 8, 16].map((n) => el("option", { value: `${n}` },
    n === 1 ? "each as it comes" : `the best of ${n}`)));
  const seed = el("input", { type: "number", min: "0", step: "1", value: "0",
    onchange: () => { wish.seed = Math.max(0, Math.trunc(Number(seed.value)) || 0); seed.value = wish.seed; } });
  const list = el("ul", { class: "molecules", "aria-label": "Molecules" });
  const wishes = () => ({ run: run.name, n: Number(number.value), seed: wish.seed, scaffold: scaffold.value.trim(),
    temperature: wish.temperature, top_p: wish.top_p, best_of: Number(best.value), format: "svg" });

  const write = newest(() => api.trying(list, async () => {
    const { texts, drawings } = await (await api.sample(wishes())).json();
    if (!signal.aborted) list.replaceChildren(...texts.map((text, index) => entry(text, drawings[index])));
  }));

  const files = (words, accept, format, ending) => el("button", { type: "button", onclick: (event) =>
    api.trying(event.target, async () => {
      const answer = await api.sample({ ...wishes(), format }, accept);
      download(await answer.blob(), `${run.name}-seed-${wish.seed}${ending}`);
    }) }, words);

  const form = el("form", { class: "card" },
    written && el("div", { class: "controls" }, field("Scaffold", scaffold, { wide: true })),
    el("div", { class: "controls" },
      slider("Temperature, from safe to varied", { min: 0, max: 2, step: 0.05, value: 1,
        onchange: (value) => { wish.temperature = value; } }),
      written && slider("Top-p, 1 takes all symbols", { min: 0.05, max: 1, step: 0.05, value: 1,
        onchange: (value) => { wish.top_p = value; } }),
      field("Chosen by the discriminator", best), field("How many", number), field("Seed", seed, { number: true })),
    el("div", { class: "row" }, el("button", { class: "main", type: "submit" }, "Write"),
      el("button", { type: "button", onclick: () => { wish.seed = randomSeed(); seed.value = wish.seed; write(); } },
        "With a new seed"),
      el("span", { class: "push row" }, files("Download SMILES", "text/plain", "smiles", ".smi"),
        files("Download drawings (zip)", "application/zip", "svg", ".zip"))));
  form.addEventListener("submit", (event) => { event.preventDefault(); write(); });
  body.append(form, el("div", { class: "row" }), list);
  write();
}

// The drawing is an image, not markup of this page: nothing in it can do more than be seen.
function entry(text, drawing) {
  if (!drawing) return el("li", {}, el("p", { class: "soft" }, "No molecule came of this sample."));
  return el("li", {}, el("img", { src: `data:image/svg+xml;charset=utf-8,${encodeURIComponent(drawing)}`, alt: `Drawing of ${text}` }),
    el("code", {}, text), copying(text));
}

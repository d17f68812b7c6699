// Texts: a beginning, a temperature, and as many as are wanted.

import * as api from "./api.js";
import { download, el, field, newest, notice, randomSeed, slider } from "./dom.js";

export function texts(body, run, signal) {
  const wish = { temperature: 1, top_p: 1, seed: 0 };
  let written = [];
  const prompt = el("textarea", { rows: 2, maxLength: 4096, placeholder: "What all begin with; may be empty" });
  const number = el("select", {}, [6, 12, 24, 48].map((n) => el("option", { value: `${n}`, selected: n === 12 }, `${n}`)));
  const best = el("select", { disabled: !run.chooses }, [1, 4, 8, 16].map((n) => el("option", { value: `${n}` },
    n === 1 ? "each as it comes" : `the best of ${n}`)));
  const seed = el("input", { type: "number", min: "0", step: "1", value: "0",
    onchange: () => { wish.seed = Math.max(0, Math.trunc(Number(seed.value)) || 0); seed.value = wish.seed; } });
  const list = el("ul", { class: "texts", "aria-label": "Texts" });

  const write = newest(() => api.trying(list, async () => {
    const answer = await api.sample({ run: run.name, n: Number(number.value), seed: wish.seed, prompt: prompt.value,
      temperature: wish.temperature, top_p: wish.top_p, best_of: Number(best.value) });
    written = (await answer.json()).texts;
    if (signal.aborted) return;
    list.classList.toggle("code", written.some((text) => text.includes("\n")));
    list.replaceChildren(...written.map((text) => entry(text, prompt.value)));
  }));

  const form = el("form", { class: "card" },
    el("div", { class: "controls" }, field("Beginning", prompt, { wide: true })),
    el("div", { class: "controls" },
      slider("Temperature, from safe to varied", { min: 0, max: 2, step: 0.05, value: 1,
        onchange: (value) => { wish.temperature = value; } }),
      slider("Top-p, 1 takes all symbols", { min: 0.05, max: 1, step: 0.05, value: 1,
        onchange: (value) => { wish.top_p = value; } }),
      field("Chosen by the discriminator", best), field("How many", number), field("Seed", seed, { number: true })),
    el("div", { class: "row" }, el("button", { class: "main", type: "submit" }, "Write"),
      el("button", { type: "button", onclick: () => { wish.seed = randomSeed(); seed.value = wish.seed; write(); } },
        "With a new seed"),
      el("button", { type: "button", class: "push", onclick: () => save(run, written) }, "Download")));
  form.addEventListener("submit", (event) => { event.preventDefault(); write(); });
  body.append(form, el("div", { class: "row" }), list);
  write();
}

function entry(text, beginning) {
  const copy = copying(text);
  if (beginning && text.startsWith(beginning)) {
    return el("li", {}, el("mark", {}, beginning), text.slice(beginning.length), copy);
  }
  return el("li", {}, text, copy);
}

export const copying = (text) => el("button", { type: "button", "aria-label": `Copy: ${text.slice(0, 40)}`,
  onclick: async () => {
    try { await navigator.clipboard.writeText(text); notice("Copied"); } catch { notice("The browser does not let the page copy"); }
  } }, "Copy");

function save(run, written) {
  const several = written.some((text) => text.includes("\n"));
  const lines = several ? written.map((text) => JSON.stringify(text)) : written;
  const blob = new Blob([lines.map((line) => `${line}\n`).join("")], { type: "text/plain" });
  download(blob, `${run.name}.${several ? "jsonl" : "txt"}`);
}

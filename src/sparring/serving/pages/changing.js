// Pictures that people bring: restored, filled or in another style, and laid over what they were.

import * as api from "./api.js";
import { download, el, field, notice, slider } from "./dom.js";
import { picturePlace } from "./picking.js";
import { painting } from "./painting.js";

const DO = { inpaint: "Fill the painted parts", denoise: "Remove the noise", super: "Enlarge" };

export function changing(body, run, signal) {
  const wish = { style: run.styles[0] ?? null, strength: 1 };
  let source = null;
  let canvas = null;
  const addresses = new Set();
  signal.addEventListener("abort", () => addresses.forEach((url) => URL.revokeObjectURL(url)));
  const address = (blob) => { const url = URL.createObjectURL(blob); addresses.add(url); return url; };

  const drop = picturePlace(take, signal);
  const examples = el("div", { class: "examples", role: "group", "aria-label": "Pictures of the training run" });
  const stage = el("div", { class: "stage" });
  body.append(drop, examples, stage);
  showExamples();

  // What the run shows of itself: before, or, where holes are to be painted, the whole picture.
  async function showExamples() {
    let watch;
    try { watch = await api.run(run.name); } catch { return; }
    let first = true;
    const wanted = run.takes_mask ? "clean-" : "before-";
    for (const name of watch.samples.filter((one) => one.startsWith(wanted)).slice(0, 4)) {
      const blob = await (await api.sampleFile(run.name, name)).blob();
      if (signal.aborted) return;
      if (first) examples.append(el("span", { class: "soft" }, "or try:"));
      first = false;
      const image = el("img", { src: address(blob), alt: "A picture that the run was tried on" });
      examples.append(el("button", { type: "button", onclick: () => take(blob) }, image));
    }
  }

  async function take(blob) {
    if (!blob) return;
    const image = el("img", { src: address(blob), alt: "The picture that was given" });
    try { await image.decode(); } catch { notice("The browser cannot show this file: is it a picture?"); return; }
    source = { blob, image };
    canvas = run.takes_mask ? painting(image) : null;
    const go = el("button", { class: "main", type: "button", onclick: change }, DO[run.damage] ?? "Translate");
    const wishes = [];
    if (run.styles.length > 1) {
      wishes.push(field("Style", el("select", { onchange: (event) => { wish.style = event.target.value; change(); } },
        run.styles.map((name) => el("option", { value: name, selected: name === wish.style }, name)))));
    }
    if (run.task === "translate") {
      wishes.push(slider("Strength", { min: 0, max: 1, step: 0.05, value: wish.strength,
        onchange: (value) => { wish.strength = value; } }));
    }
    const given = el("div", {}, canvas ? canvas.element : el("div", { class: "paper" }, image),
      el("div", { class: "controls row" }, wishes, go));
    result = el("div", { "aria-live": "polite" }, canvas && el("p", { class: "card soft" },
      "Paint over what should be filled; the result comes here. With the keyboard: arrows move the brush, space paints."));
    stage.style.setProperty("--ratio", `${image.naturalWidth / image.naturalHeight}`);
    stage.replaceChildren(given, result);
    drop.classList.add("small");
    stage.scrollIntoView({ block: "nearest" });
    if (!canvas) change();
  }

  let result = el("div", {});
  async function change() {
    const mask = canvas ? await canvas.mask() : null;
    if (canvas && !mask) { notice("Paint over something first"); return; }
    const made = await api.trying(stage, () => api.apply({ run: run.name, picture: source.blob, mask,
      style: run.styles.length > 1 ? wish.style : null, strength: run.task === "translate" ? wish.strength : null }));
    if (!made || signal.aborted) return;
    result.replaceChildren(beforeAfter(canvas ? await canvas.masked() : source.image.src, address(made)),
      el("div", { class: "row" }, el("button", { type: "button",
        onclick: () => download(made, `${run.name}.png`) }, "Download"),
      canvas && el("button", { type: "button", onclick: () => take(made) }, "Go on with the result")));
  }
}

// Two pictures, one over the other, and a handle between them.
export function beforeAfter(before, after, names = ["before", "after"]) {
  const over = el("img", { class: "before", src: before, alt: "Before" });
  const box = el("div", { class: "compare" }, el("img", { src: after, alt: "After" }), over,
    el("div", { class: "handle" }), el("span", { class: "badge left" }, names[0]), el("span", { class: "badge right" }, names[1]));
  const range = el("input", { type: "range", min: "0", max: "100", value: "50", "aria-label": "How much of the picture before is shown",
    oninput: () => cut(Number(range.value)) });
  const cut = (percent) => { box.style.setProperty("--cut", `${percent}%`); range.value = percent; };
  const follow = (event) => {
    if (event.type === "pointermove" && !event.buttons && event.pointerType !== "mouse") return;
    const place = box.getBoundingClientRect();
    cut(Math.min(100, Math.max(0, (100 * (event.clientX - place.left)) / place.width)));
  };
  box.addEventListener("pointerdown", follow);
  box.addEventListener("pointermove", follow);
  cut(50);
  return el("div", {}, box, range);
}

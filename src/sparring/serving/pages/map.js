// What lies between four pictures: a map whose corners they are. Latents are mixed by the server, which keeps their length.

import * as api from "./api.js";
import { el, field, newest, randomSeed } from "./dom.js";

const SIDE = 7;
const STEPS = 9;

export function latentMap(run, wishes, signal) {
  const [height, width] = run.resolution;
  const coarse = height <= 32 ? " coarse" : "";
  let corners = [0, 1, 2, 3].map((index) => ({ seed: 0, index }));
  let replaced = 0;
  const here = { x: 0.5, y: 0.5 };

  // Shares of the corners (upper left, upper right, lower left, lower right) at a place of the map.
  const mixture = (x, y) => [(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y]
    .map((weight, corner) => ({ ...corners[corner], weight })).filter((part) => part.weight > 0);

  const cells = Array.from({ length: SIDE * SIDE }, () => el("img", { alt: "", draggable: false }));
  const spot = el("div", { class: "spot" });
  const map = el("div", { class: `map${coarse}`, "aria-hidden": "true" }, cells, spot);
  const one = el("img", { class: `one${coarse}`, alt: "The picture at this place of the map" });
  const strip = Array.from({ length: STEPS }, () => el("img", { alt: "" }));
  for (const made of [map, one]) made.style.setProperty("--shape", `${width} / ${height}`);

  const along = (label, axis) => {
    const control = el("input", { type: "range", min: "0", max: "1", step: "0.01", value: "0.5",
      oninput: () => { here[axis] = Number(control.value); move(); } });
    return [field(label, control, { wide: true }), control];
  };
  const [acrossField, across] = along("Left to right", "x");
  const [downField, down] = along("Top to bottom", "y");

  const draw = newest(() => api.trying(map, async () => {
    const places = cells.map((_, number) => [(number % SIDE) / (SIDE - 1), Math.floor(number / SIDE) / (SIDE - 1)]);
    const way = strip.map((_, number) => number / (STEPS - 1));
    const mix = [...places.map(([x, y]) => mixture(x, y)), ...way.map((t) => mixture(t, t))];
    const made = await api.pictures({ run: run.name, mix, ...wishes() });
    if (signal.aborted) return;
    [...cells, ...strip].forEach((cell, number) => { cell.src = made[number].source; });
    move();
  }));

  const paint = newest(() => api.trying(null, async () => {
    const [{ source }] = await api.pictures({ run: run.name, mix: [mixture(here.x, here.y)], ...wishes() });
    if (!signal.aborted) one.src = source;
  }));

  function move() {
    spot.style.left = `${100 * here.x}%`;
    spot.style.top = `${100 * here.y}%`;
    across.value = here.x;
    down.value = here.y;
    paint();
  }

  function follow(event) {
    if (event.pointerType !== "mouse" && !event.isPrimary) return;
    const box = map.getBoundingClientRect();
    here.x = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    here.y = Math.min(1, Math.max(0, (event.clientY - box.top) / box.height));
    move();
  }
  map.addEventListener("pointermove", follow);
  map.addEventListener("pointerdown", follow);

  const fresh = el("button", { type: "button", onclick: () => {
    const seed = randomSeed();
    corners = corners.map((_, index) => ({ seed, index }));
    draw();
  } }, "New corners");

  // A picture of the gallery becomes a corner, one corner after the other.
  function take(corner) {
    corners[replaced % 4] = corner;
    replaced += 1;
    draw();
    section.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }

  const section = el("section", { "aria-label": "Map of pictures" }, el("h2", {}, "What lies between"),
    el("p", { class: "soft" }, "The corners are four pictures; everywhere else their random numbers are mixed. Move over "
      + "the map, or use the sliders. Any picture of the gallery can become a corner."),
    el("div", { class: "map-and-one" }, map, el("div", {}, one,
      el("div", { class: "controls" }, acrossField, downField),
      el("figure", {}, el("div", { class: `strip${coarse}`, "aria-hidden": "true" }, strip),
        el("figcaption", {}, "From the first corner to the last, step by step.")),
      el("div", { class: "row" }, fresh,
        el("a", { class: "button", href: "#", onclick: (event) => {
          event.preventDefault();
          el("a", { href: one.src, download: `${run.name}-between.png` }).click();
        } }, "Download")))));
  return { section, draw, take };
}

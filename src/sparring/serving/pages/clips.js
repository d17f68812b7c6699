// Clips out of random numbers: they play side by side, with what they have in common, their length and their speed.

import * as api from "./api.js";
import { inverting } from "./inverting.js";
import { chips, download, el, field, newest, randomSeed, slider } from "./dom.js";

const NUMBERS = [1, 2, 4, 8, 12, 16];
const USUAL_NUMBER = 8;
const LONGEST = 256;
const LENGTHS = [0.5, 1, 2, 4, 8];
const [SLOWEST, FASTEST] = [1, 120];
const COARSE = 32;
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

// What the browser cannot play as a film comes as a GIF.
const playsFilms = () => el("video").canPlayType('video/mp4; codecs="avc1.640028"') !== "";

export function clips(body, run, signal) {
  const [height, width] = run.resolution;
  const wish = { seed: 0, motions: null, label: null, truncation: 1, speed: 1, same: null, course: "plain", fps: null, first: null };
  const kind = playsFilms() ? {} : { format: "gif" };
  const coarse = height <= COARSE ? " coarse" : "";
  let playing = !STILL.matches;
  let wanted = 0;
  let shown = [];
  signal.addEventListener("abort", () => shown.forEach(forget));

  const ofSeed = (label, value, placeholder, take) => {
    const control = el("input", { type: "number", min: "0", step: "1", value, placeholder,
      onchange: () => { take(control); again(); } });
    return [field(label, control, { number: true }), control];
  };
  const whole = (control) => Math.max(0, Math.trunc(Number(control.value)) || 0);
  const [seedField, seed] = ofSeed("Seed", "0", "", () => { wish.seed = whole(seed); seed.value = wish.seed; });
  const [motionsField, motions] = ofSeed("Motion seed", "", "the same", () => {
    wish.motions = motions.value === "" ? null : whole(motions);
    motions.value = wish.motions ?? "";
  });
  const fresh = (words, control, main, take) => el("button", { class: main ? "main" : "", type: "button", onclick: () => {
    take(randomSeed());
    control.value = wish[control === seed ? "seed" : "motions"];
    again();
  } }, words);

  const freshMotions = fresh("New motions", motions, false, (value) => { wish.motions = value; });

  const number = el("select", { onchange: () => { fit(); again(); } },
    NUMBERS.filter((n) => n <= run.most_frames).map((n) => el("option", { value: `${n}` }, `${n}`)));
  const length = el("select", { onchange: () => again() });
  const rate = el("input", { type: "number", min: `${SLOWEST}`, max: `${FASTEST}`, step: "any", value: "",
    placeholder: `${Number(run.fps.toFixed(2))}`, onchange: () => {
      const given = Number(rate.value);
      wish.fps = given > 0 ? Math.min(FASTEST, Math.max(SLOWEST, given)) : null;
      rate.value = wish.fps ?? "";
      offer();
      fit();
      again();
    } });
  number.value = `${NUMBERS.filter((n) => n <= USUAL_NUMBER && n * run.frames <= run.most_frames).at(-1) ?? 1}`;
  offer();
  fit();

  // Lengths in seconds, the one that was chosen again; each once, since all end at as many frames as one request may have.
  function offer() {
    const fps = wish.fps ?? run.fps;
    const chosen = Number(length.selectedOptions[0]?.dataset.times ?? 1);
    const offered = new Map();
    for (const times of LENGTHS) {
      const frames = Math.max(1, Math.min(LONGEST, run.most_frames, Math.round((times * run.frames * fps) / run.fps)));
      if (!offered.has(frames) || times === chosen) offered.set(frames, times);
    }
    length.replaceChildren(...[...offered].map(([frames, times]) => el("option", { value: `${frames}`,
      "data-times": `${times}`, selected: times === chosen }, `${(frames / fps).toFixed(1)} s, ${frames} frames`)));
  }

  // Lengths that so many clips cannot have in one request are not offered.
  function fit() {
    for (const option of length.options) option.disabled = option.value * number.value > run.most_frames;
    if (length.selectedOptions[0]?.disabled) {
      length.value = [...length.options].filter((one) => !one.disabled).at(-1)?.value ?? length.options[0].value;
    }
  }

  const same = chips("What differs from clip to clip", "same", [[null, "content and motion"],
    ["content", "the motion alone"], ["motion", "the content alone"]], null, (value) => { wish.same = value; agree(); again(); });
  const course = chips("In the course of each", "course", [["plain", "as it comes"], ["loop", "a loop"],
    ["interpolate", "its content turns into the next"]], "plain", (value) => { wish.course = value; agree(); again(); });
  const classes = run.classes.length > 1 && chips("Class", "label",
    [[null, "as in the data"], ...run.classes.slice(0, 60).map((name, index) => [index, name])], null,
    (value) => { wish.label = value; again(); });

  // One content cannot turn into the next one: the two wishes are not offered together. What begins with a picture has its
  // content, class and first motion.
  function agree() {
    const of = (set, value) => set.querySelector(`input[value="${value}"]`);
    of(course, "interpolate").disabled = wish.same === "content";
    of(same, "content").disabled = wish.course === "interpolate";
    for (const control of [motions, freshMotions, same, course, ...(classes ? [classes] : []), truncation.querySelector("input")]) {
      control.disabled = wish.first !== null;
    }
    freely.hidden = wish.first === null;
  }

  const freely = el("button", { type: "button", hidden: true, onclick: () => begin(null) }, "Begin without the picture");
  function begin(first) {
    wish.first = first;
    agree();
    again();
    if (first) list.scrollIntoView({ block: "center", behavior: STILL.matches ? "auto" : "smooth" });
  }

  const truncation = slider("Truncation, from alike to varied", { min: 0, max: 1.5, step: 0.05, value: 1,
    onchange: (value) => { wish.truncation = value; again(); } });
  const list = el("div", { class: `gallery clips${coarse}`, role: "group", "aria-label": "Clips" });
  list.style.setProperty("--shape", `${width} / ${height}`);
  const told = el("p", { class: "soft" });
  const pause = el("button", { type: "button", onclick: () => { playing = !playing; turn(); } });

  const wishes = () => ({ run: run.name, seed: wish.seed, speed: wish.speed, fps: wish.fps, frames: Number(length.value),
    ...(wish.first ? { first: wish.first } : { motion_seed: wish.motions, label: wish.label, same: wish.same,
      truncation: wish.truncation, loop: wish.course === "loop", interpolate: wish.course === "interpolate" }) });

  function again() {
    wanted += 1;
    make();
  }

  // One clip after the other, so that the first can be seen while the last is made; newer wishes end it.
  const make = newest(async () => {
    const mine = wanted;
    const count = Number(number.value);
    while (list.children.length > count) list.lastChild.remove();
    while (list.children.length < count) list.append(place(list.children.length));
    shown.splice(count).forEach(forget);
    for (const one of list.children) one.classList.add("waiting");
    list.setAttribute("aria-busy", "true");
    const asked = wishes();
    for (let index = 0; index < count; index += 1) {
      told.textContent = `Clip ${index + 1} of ${count} is being made ...`;
      const answer = await api.trying(null, () => api.clips({ ...asked, ...kind, start: index, n: 1 }));
      if (mine !== wanted || signal.aborted) return;
      if (!answer) break;
      show(index, answer, asked);
    }
    for (const one of list.children) one.classList.remove("waiting");
    list.removeAttribute("aria-busy");
    told.textContent = shown.length ? words(shown[0]) : "";
  });

  function place(index) {
    return el("button", { type: "button", onclick: () => { if (shown[index]) large.open(index); },
      "aria-label": `Clip ${index}, not made yet` });
  }

  function show(index, answer, asked) {
    const source = URL.createObjectURL(answer.clips[0]);
    if (shown[index]) forget(shown[index]);
    shown[index] = { source, index, seed: asked.seed, motions: asked.motion_seed ?? null, first: asked.first, type: answer.type, frames: answer.frames, fps: answer.fps };
    const film = screen(shown[index], playing);
    list.children[index].replaceChildren(film.element);
    list.children[index].classList.remove("waiting");
    list.children[index].setAttribute("aria-label", `Clip ${index} of seed ${asked.seed}, show large`);
    shown[index].turn = film.turn;
  }

  function turn() {
    pause.textContent = playing ? "Pause" : "Play";
    pause.setAttribute("aria-label", playing ? "Pause all clips" : "Play all clips");
    for (const one of shown) one?.turn(playing);
  }

  const file = (said, accept, ending) => el("button", { type: "button", onclick: (event) => api.trying(event.target, async () => {
    const answer = await api.sample({ ...wishes(), ...kind, n: Number(number.value) }, accept);
    const blob = await answer.blob();
    download(blob, `${run.name}-seed-${wish.seed}${ending ?? endingOf(blob.type)}`);
  }) }, said);

  const large = enlarged(run, () => shown, coarse, () => playing, (now) => { playing = now; turn(); });
  body.append(
    el("div", { class: "controls" }, seedField, fresh("New seed", seed, true, (value) => { wish.seed = value; }),
      motionsField, freshMotions,
      field("How many", number, { number: true }), field("Length", length),
      field("Frames a second", rate, { number: true })),
    el("div", { class: "controls" },
      slider("Speed, 1 as in life", { min: 0.1, max: 3, step: 0.05, value: 1, onchange: (value) => { wish.speed = value; again(); } }),
      truncation),
    el("div", { class: "controls" }, same, course, ...(classes ? [classes] : [])),
    el("div", { class: "row watch" }, pause, freely, told), list,
    el("div", { class: "row" }, file("Download all (zip)", "application/zip", ".zip"),
      file("Download as one film", "video/mp4, image/gif;q=0.9", null)),
    inverting(run, begin, signal, "Begin all clips with it"), large.dialog);
  turn();
  again();
}

const endingOf = (type) => (type === "image/gif" ? ".gif" : ".mp4");

const seeds = (one) => `Seed ${one.seed}${one.motions === null ? "" : `, motions of seed ${one.motions}`}`
  + `${one.first ? ", from the picture" : ""}`;

const rateOf = (one) => Number(one.fps.toFixed(1));

const words = (one) => `${seeds(one)}: ${one.frames} frames each, ${rateOf(one)} a second. The same seed gives them again.`;

const forget = (one) => one && URL.revokeObjectURL(one.source);

// What shows a clip, and what makes it play or stop: of a GIF its first frame stands still.
function screen(one, playing) {
  if (one.type !== "image/gif") {
    const film = el("video", { muted: true, loop: true, playsInline: true, preload: "auto", src: one.source });
    film.setAttribute("muted", "");
    film.setAttribute("playsinline", "");
    const turn = (now) => { if (now) film.play().catch(() => {}); else film.pause(); };
    turn(playing);
    return { element: film, turn };
  }
  const image = el("img", { alt: "" });
  const first = el("canvas");
  const both = el("span", { class: "still" }, first, image);
  image.addEventListener("load", () => {
    first.width = image.naturalWidth;
    first.height = image.naturalHeight;
    first.getContext("2d").drawImage(image, 0, 0);
  });
  image.src = one.source;
  const turn = (now) => { image.hidden = !now; };
  turn(playing);
  return { element: both, turn };
}

// One clip large, with a way to the next one and to a file.
function enlarged(run, shown, coarse, playing, tell) {
  const [height, width] = run.resolution;
  const stand = el("div", { class: `large${coarse}`, role: "img" });
  stand.style.setProperty("--shape", `${width} / ${height}`);
  const said = el("p", { class: "soft" });
  const pause = el("button", { type: "button", onclick: () => { tell(!playing()); turn(); } });
  let at = 0;
  let film = null;
  const turn = () => { pause.textContent = playing() ? "Pause" : "Play"; film?.turn(playing()); };
  const go = (step) => { at = (at + step + shown().length) % shown().length; show(); };
  const show = () => {
    const one = shown()[at];
    film = screen(one, playing());
    stand.replaceChildren(film.element);
    stand.setAttribute("aria-label", `Clip ${one.index} of seed ${one.seed}`);
    said.textContent = `${seeds(one)}: clip ${one.index}, ${width} × ${height} pixels, ${one.frames} frames, `
      + `${rateOf(one)} a second.`;
    turn();
  };
  const dialog = el("dialog", { "aria-label": "One clip, large",
    onclose: () => { film?.turn(false); film = null; stand.replaceChildren(); },
    onclick: (event) => { if (event.target === dialog) dialog.close(); },
    onkeydown: (event) => {
      if (event.key === "ArrowLeft") go(-1);
      if (event.key === "ArrowRight") go(1);
    } },
  stand, el("div", { class: "row" }, said),
  el("div", { class: "row" },
    el("button", { type: "button", "aria-label": "The one before", onclick: () => go(-1) }, "←"),
    el("button", { type: "button", "aria-label": "The next one", onclick: () => go(1) }, "→"), pause,
    el("button", { type: "button", onclick: () => { const one = shown()[at];
      download(one.source, `${run.name}-${one.seed}-${one.index}${endingOf(one.type)}`); } }, "Download"),
    el("button", { type: "button", class: "main push", onclick: () => dialog.close() }, "Close")));
  return { dialog, open: (index) => { at = index; show(); dialog.showModal(); } };
}

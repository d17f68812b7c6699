// Elements out of names, attributes and children; texts become text nodes, so that nothing in them is ever markup.

export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && typeof value !== "string") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

let fields = 0;

// A labelled control; `output` beside the label shows the value of a slider.
export function field(label, control, { wide = false, number = false, output = null } = {}) {
  control.id ||= `control-${(fields += 1)}`; // without it the label would be that of its output, which comes first
  const kind = `field${wide ? " wide" : ""}${number ? " number" : ""}`;
  return el("label", { class: kind, for: control.id }, el("span", {}, label, output), control);
}

export function slider(label, { min, max, step, value, onchange }) {
  const output = el("output", {}, String(value));
  const show = () => { output.textContent = Number(control.value).toFixed(step < 0.1 ? 2 : 1); };
  const control = el("input", { type: "range", min: `${min}`, max: `${max}`, step: `${step}`, value: `${value}`,
    oninput: () => { show(); onchange(Number(control.value)); } });
  show();
  return field(label, control, { wide: true, output });
}

// One of several, as buttons that are radio buttons.
export function chips(legend, name, options, chosen, onchange) {
  return el("fieldset", {}, el("legend", {}, legend), el("div", { class: "chips" }, options.map(([value, text]) =>
    el("label", {}, el("input", { type: "radio", name, value: `${value}`, checked: value === chosen,
      onchange: () => onchange(value) }), text))));
}

export function notice(message) {
  const line = el("p", {}, message.charAt(0).toUpperCase() + message.slice(1));
  document.getElementById("notices").replaceChildren(line);
  setTimeout(() => line.remove(), 7000);
}

export function download(blobOrUrl, name) {
  const url = typeof blobOrUrl === "string" ? blobOrUrl : URL.createObjectURL(blobOrUrl);
  el("a", { href: url, download: name }).click();
  if (typeof blobOrUrl !== "string") setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

// Runs the newest call of several: while one is on its way only the last of those that came meanwhile is kept.
export function newest(work) {
  let running = false;
  let next = null;
  return async function call(...given) {
    if (running) { next = given; return; }
    running = true;
    try { await work(...given); } finally {
      running = false;
      if (next) { const again = next; next = null; call(...again); }
    }
  };
}

export function randomSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0] % 1_000_000;
}

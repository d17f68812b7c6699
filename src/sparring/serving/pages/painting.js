// A mask painted over a picture, by mouse, finger or keyboard. Strokes are kept, so that each can be taken back.

import { el, field } from "./dom.js";

const COLOUR = "#ff5a36";

export function painting(image) {
  const { naturalWidth: width, naturalHeight: height } = image;
  const canvas = el("canvas", { width, height, tabindex: "0", role: "img",
    "aria-label": "Mask over the picture: arrows move the brush, space paints, Shift and arrows paint on the way" });
  const brush = el("div", { class: "brush", hidden: true });
  const element = el("div", {}, el("div", { class: "paper" }, image, canvas, brush));
  const strokes = [];
  let size = Math.max(4, Math.round(Math.max(width, height) / 14));
  let erasing = false;
  let at = { x: width / 2, y: height / 2 };
  let drawing = false;

  const context = canvas.getContext("2d");
  function line(onto, stroke, colour) {
    onto.globalCompositeOperation = stroke.erases ? "destination-out" : "source-over";
    onto.strokeStyle = colour;
    onto.lineWidth = stroke.size;
    onto.lineCap = "round";
    onto.lineJoin = "round";
    onto.beginPath();
    stroke.points.forEach(({ x, y }, number) => (number ? onto.lineTo(x, y) : onto.moveTo(x, y)));
    if (stroke.points.length === 1) onto.lineTo(stroke.points[0].x + 0.01, stroke.points[0].y);
    onto.stroke();
  }
  function redraw() {
    context.clearRect(0, 0, width, height);
    strokes.forEach((stroke) => line(context, stroke, COLOUR));
  }
  function begin() { strokes.push({ size, erases: erasing, points: [{ ...at }] }); redraw(); }
  function go() { strokes.at(-1).points.push({ ...at }); redraw(); }

  function ring() {
    const scale = canvas.clientWidth / width;
    brush.hidden = false;
    brush.style.left = `${at.x * scale}px`;
    brush.style.top = `${at.y * scale}px`;
    brush.style.width = brush.style.height = `${size * scale}px`;
  }
  function place(event) {
    const box = canvas.getBoundingClientRect();
    at = { x: ((event.clientX - box.left) * width) / box.width, y: ((event.clientY - box.top) * height) / box.height };
    ring();
  }
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    place(event);
    drawing = true;
    begin();
  });
  canvas.addEventListener("pointermove", (event) => { place(event); if (drawing) go(); });
  canvas.addEventListener("pointerup", () => { drawing = false; });
  canvas.addEventListener("pointercancel", () => { drawing = false; });
  canvas.addEventListener("pointerleave", () => { brush.hidden = true; });
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    if (event.key === " ") begin();
    else if (event.key in steps) {
      const [x, y] = steps[event.key];
      if (event.shiftKey && !drawing) { begin(); drawing = true; }
      at = { x: Math.min(width, Math.max(0, at.x + (x * size) / 2)), y: Math.min(height, Math.max(0, at.y + (y * size) / 2)) };
      if (event.shiftKey) go();
    } else return;
    event.preventDefault();
    ring();
  });
  canvas.addEventListener("keyup", (event) => { if (event.key === "Shift") drawing = false; });

  const eraser = el("button", { type: "button", "aria-pressed": "false", onclick: () => {
    erasing = !erasing;
    eraser.setAttribute("aria-pressed", String(erasing));
    eraser.textContent = erasing ? "Paint" : "Erase";
  } }, "Erase");
  element.append(el("div", { class: "controls row" },
    field("Brush", el("input", { type: "range", min: "2", max: `${Math.round(Math.max(width, height) / 3)}`, value: `${size}`,
      oninput: (event) => { size = Number(event.target.value); } }), { wide: true }),
    eraser, el("button", { type: "button", onclick: () => { strokes.pop(); redraw(); } }, "Undo"),
    el("button", { type: "button", onclick: () => { strokes.length = 0; redraw(); } }, "Clear")));

  const blob = (made) => new Promise((resolve) => { made.toBlob(resolve, "image/png"); });

  // White where it was painted, on black, as large as the picture; null if nothing is.
  async function mask() {
    const alpha = context.getImageData(0, 0, width, height).data;
    const made = el("canvas", { width, height });
    const onto = made.getContext("2d");
    const pixels = onto.createImageData(width, height);
    let any = false;
    for (let i = 0; i < alpha.length; i += 4) {
      const white = alpha[i + 3] > 127 ? 255 : 0;
      any ||= white > 0;
      pixels.data.set([white, white, white, 255], i);
    }
    onto.putImageData(pixels, 0, 0);
    return any ? blob(made) : null;
  }

  // The picture with its painted parts, for comparison with the result.
  async function masked() {
    const made = el("canvas", { width, height });
    const onto = made.getContext("2d");
    onto.drawImage(image, 0, 0, width, height);
    onto.drawImage(canvas, 0, 0);
    return made.toDataURL("image/png");
  }

  return { element, mask, masked };
}

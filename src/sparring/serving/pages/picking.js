// Where people give a picture: chosen, dropped or pasted.

import { el } from "./dom.js";

export function picturePlace(take, signal) {
  const file = el("input", { type: "file", class: "hidden", accept: "image/*", onchange: () => take(file.files[0]) });
  const drop = el("label", { class: "drop" }, file, el("strong", {}, "Choose a picture"),
    el("span", { class: "soft" }, "or drop it here, or paste it. It is not kept."));
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const pasted = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (pasted) take(pasted);
  }, { signal });
  return drop;
}

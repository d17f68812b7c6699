// A picture of one's own, as the generator would make it: its latent is looked for, and can be put on the map, or clips
// begin with it.

import * as api from "./api.js";
import { COARSE } from "./gallery.js";
import { beforeAfter } from "./changing.js";
import { download, el } from "./dom.js";
import { picturePlace } from "./picking.js";

const DECIMALS = 4;

export function inverting(run, take, signal, act = "Put on the map") {
  const [height, width] = run.resolution;
  const stage = el("div", { "aria-live": "polite" });
  let newest = null;

  async function look(blob) {
    if (!blob) return;
    newest?.abort();
    const here = new AbortController();
    newest = here;
    signal.addEventListener("abort", () => here.abort());
    const words = el("p", { class: "soft" }, "The picture is being sent ...");
    const bar = el("progress", { max: "1", value: "0", "aria-label": "How far the search is" });
    stage.replaceChildren(words, bar, el("button", { type: "button", onclick: () => here.abort() }, "Stop"));
    const found = await api.trying(null, () => api.invert({ run: run.name, picture: blob }, (job) => {
      words.textContent = job.state === "waiting" ? `Waiting for ${job.ahead} before it ...`
        : job.steps ? `Step ${job.step} of ${job.steps}` : "Looking at samples that are like it ...";
      bar.value = job.steps ? job.step / job.steps : 0;
    }, here.signal));
    if (newest !== here || signal.aborted) return;
    stage.replaceChildren();
    if (!found || here.signal.aborted) return;
    const source = (content) => `data:${found.type};base64,${content}`;
    const compared = beforeAfter(source(found.given), source(found.picture), ["given", "found"]);
    compared.classList.add("found");
    compared.style.setProperty("--ratio", `${width / height}`);
    if (height <= COARSE) compared.classList.add("coarse");
    const corner = { z: found.z.map((one) => Number(one.toFixed(DECIMALS))) };
    if (found.noise) Object.assign(corner, { noise: found.noise, since: found.since });
    if (found.label !== null) corner.label = found.label;
    const kind = found.label === null ? "" : `, as ${run.classes[found.label]}`;
    stage.append(compared, el("p", { class: "soft" }, `Under it what the generator comes nearest with${kind}: `
      + `${found.psnr.toFixed(1)}\u00a0dB from what was given.`),
    el("div", { class: "row" },
      el("button", { type: "button", class: "main", onclick: () => take(corner) }, act),
      el("button", { type: "button", onclick: () => download(source(found.picture), `${run.name}-found.png`) }, "Download"),
      el("button", { type: "button", onclick: () => download(new Blob([JSON.stringify({ z: found.z, noise: found.noise ?? undefined, since: found.since ?? undefined, label: found.label })],
        { type: "application/json" }), `${run.name}-latent.json`) }, "Download the latent")));
  }

  return el("section", { "aria-label": "A picture of your own" }, el("h2", {}, "A picture of your own"),
    el("p", { class: "soft" }, "The generator looks for the random numbers that make it. What it never learned to make, it "
      + "meets only roughly."), picturePlace(look, signal), stage);
}

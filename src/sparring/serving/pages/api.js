// The server, as the page asks it. A token is kept in memory alone, until the page is left.

import { el, notice } from "./dom.js";

let token = "";
let asking = null;

async function ask(path, options = {}, accept = "application/json") {
  for (let tries = 0; ; tries += 1) {
    const headers = { Accept: accept, ...options.headers };
    if (token) headers.Authorization = `Bearer ${token}`;
    const answer = await fetch(path, { ...options, headers, cache: "no-store" });
    if (answer.ok) return answer;
    if (answer.status === 401) { await askToken(); continue; }
    if (answer.status === 429 && tries < 4) {
      await new Promise((resolve) => { setTimeout(resolve, 400 * (tries + 1)); });
      continue;
    }
    let message = `the server answered ${answer.status}`;
    try { message = (await answer.json()).error.message; } catch { /* it was no JSON */ }
    throw new Error(message);
  }
}

// A form for the token; several requests that are refused at once wait for the same one.
function askToken() {
  asking ??= new Promise((resolve) => {
    const given = el("input", { type: "password", id: "token", autocomplete: "off", required: true });
    const form = el("form", { class: "field" }, el("label", { for: "token" }, "This server wants its token"), given,
      el("div", { class: "row" }, el("button", { class: "main", type: "submit" }, "Go on")));
    const dialog = el("dialog", { "aria-label": "Token", oncancel: (event) => event.preventDefault() }, form);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      token = given.value.trim();
      dialog.close();
      dialog.remove();
      asking = null;
      resolve();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}

export const models = async () => (await (await ask("/v1/models")).json()).runs;

const ofRun = (name) => `/v1/runs/${encodeURIComponent(name)}`;
export const run = async (name) => (await ask(ofRun(name))).json();
export const changed = async (name) => (await ask(`${ofRun(name)}/changed`)).json();
export const sampleFile = (name, file) => ask(`${ofRun(name)}/samples/${encodeURIComponent(file)}`, {}, "*/*");

export function sample(wishes, accept = "application/json") {
  return ask("/v1/sample", { method: "POST", body: JSON.stringify(wishes),
    headers: { "Content-Type": "application/json" } }, accept);
}

// Pictures as addresses that an <img> takes; of those that were chosen also what a mixture makes them of.
export async function pictures(wishes) {
  const answer = await (await sample(wishes)).json();
  return answer.pictures.map((one, index) => ({ source: `data:${answer.type};base64,${one}`, part: answer.parts?.[index] }));
}

// Clips as files, their type, and how they play.
export async function clips(wishes) {
  const answer = await (await sample(wishes)).json();
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return { ...answer, clips: answer.clips.map((one) => new Blob([bytes(one)], { type: answer.type })) };
}

export async function apply(fields) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Blob) body.append(name, value, `${name}.png`);
    else if (value !== null && value !== undefined && value !== "") body.append(name, `${value}`);
  }
  return (await ask("/v1/apply", { method: "POST", body }, "image/png")).blob();
}

// Looks for the latent of a picture; `tell` hears how far it is. Called off when the view is left.
export async function invert(fields, tell, signal) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value !== null) body.append(name, value, ...(value instanceof Blob ? [name] : []));
  }
  let job = await (await ask("/v1/invert", { method: "POST", body })).json();
  const place = `/v1/jobs/${job.id}`;
  while (job.state === "waiting" || job.state === "running") {
    tell(job);
    await new Promise((resolve) => { setTimeout(resolve, 500); });
    if (signal.aborted) { await ask(place, { method: "DELETE" }, "*/*"); return null; }
    job = await (await ask(place)).json();
  }
  if (job.state === "failed") throw new Error(job.message);
  return job.result;
}

// Does something, and tells people where it fails; the element looks busy meanwhile.
export async function trying(element, work) {
  element?.classList.add("waiting");
  element?.setAttribute("aria-busy", "true");
  try { return await work(); } catch (error) {
    notice(error.message || String(error));
    return null;
  } finally {
    element?.classList.remove("waiting");
    element?.removeAttribute("aria-busy");
  }
}

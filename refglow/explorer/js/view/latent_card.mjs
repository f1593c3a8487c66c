// One scale of the latents: its picture, a pad and sliders that move it, its temperature.
import { el, oncePerFrame, shapeText, signed } from "./elements.mjs";
import { drawTiles } from "./pictures.mjs";

const FAR = 4;  // the pad's edge: so many standard deviations along a direction
const SHOWN = 3;  // latents of this size have the strongest colour
const BOX = [200, 76];  // width and height of the picture, in pixels

// The names of scales, the coarsest first.
export const scaleName = (k, count) =>
  (count === 1 ? "Only scale" : k === 0 ? "Coarsest scale" : k === count - 1 ? "Finest scale"
    : count === 3 ? "Middle scale" : `Scale ${k + 1} of ${count}`);

// {element, draw(latents), show(settings)} of scale k; settings are {temperature, offset: [u, v]}.
// Calls changed(settings), resample(), reset(), and begin() before the directions are needed.
export function latentCard(k, shapes, { changed, resample, reset, begin }) {
  const { h, w, c } = shapes[k], name = scaleName(k, shapes.length);
  const settings = { temperature: 1, offset: [0, 0] };
  const tell = oncePerFrame(() => changed(settings));
  const set = (change) => { Object.assign(settings, change); show(); tell(); };

  const canvas = el("canvas", { role: "img",
    "aria-label": `Latents of the ${name.toLowerCase()}` });
  const pad = padOf(begin, (offset) => set({ offset }));
  const across = slider("across", `Across: ${name}`, -FAR, FAR, 0.05, signed,
    (u) => set({ offset: [u, settings.offset[1]] }));
  const up = slider("up", `Up: ${name}`, -FAR, FAR, 0.05, signed,
    (v) => set({ offset: [settings.offset[0], v] }));
  const heat = slider("Temperature", `Temperature: ${name}`, 0, 1.5, 0.01,
    (value) => value.toFixed(2), (temperature) => set({ temperature }));
  [across, up].forEach(({ input }) => input.addEventListener("focus", begin));

  function show() {
    pad.show(settings.offset);
    across.show(settings.offset[0]);
    up.show(settings.offset[1]);
    heat.show(settings.temperature);
  }
  const element = el("article", { class: "card scale", "--own": `var(--scale${k % 4})` },
    el("header", {}, el("span", { class: "own" }, name),
      el("span", { class: "note" }, shapeText(h, w, c))),
    el("div", { class: "latents" }, canvas),
    el("div", { class: "two" }, pad.element, el("div", {}, across.label, up.label)),
    heat.label,
    el("div", { class: "buttons" }, button("Draw new", name, resample),
      button("Back to start", name, reset)));
  return { element, draw: (latents) => drawTiles(canvas, latents, SHOWN, ...BOX),
    show: ({ temperature, offset }) => {
      Object.assign(settings, { temperature, offset: [...offset] });
      show();
    } };
}

const button = (what, owner, onclick) =>
  el("button", { type: "button", "aria-label": `${what}: ${owner}`, onclick }, what);

// {label, input, show(value)}
function slider(written, name, min, max, step, text, changed) {
  const shown = el("span", { class: "value" });
  const input = el("input", { type: "range", min, max, step, "aria-label": name,
    oninput: () => changed(Number(input.value)) });
  return { input, label: el("label", {}, el("span", {}, written, shown), input),
    show: (value) => { input.value = value; shown.textContent = text(value); } };
}

// {element, show([u, v])}: a square with a dot that follows the pointer; calls moved([u, v]), both
// in -FAR..FAR. For the keyboard there are the sliders beside it.
function padOf(begin, moved) {
  const dot = el("i"), element = el("div", { class: "pad", "aria-hidden": "true" }, dot);
  const clamp = (value) => Math.max(-FAR, Math.min(FAR, value));
  const follow = (event) => {
    const box = element.getBoundingClientRect();
    moved([clamp((event.clientX - box.left) / box.width * 2 * FAR - FAR),
      clamp(FAR - (event.clientY - box.top) / box.height * 2 * FAR)]);
  };
  element.addEventListener("pointerdown", (event) => {
    begin();
    element.setPointerCapture(event.pointerId);
    follow(event);
  });
  element.addEventListener("pointermove", (event) => {
    if (element.hasPointerCapture(event.pointerId)) follow(event);
  });
  return { element, show: ([u, v]) => {
    dot.style.setProperty("--x", `${50 + 50 * u / FAR}%`);
    dot.style.setProperty("--y", `${50 - 50 * v / FAR}%`);
  } };
}

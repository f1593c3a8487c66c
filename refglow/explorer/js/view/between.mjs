// Between two images: the straight line between their latents.
//
//     z = (1 - t) z_from + t z_to
import { forward, inverse } from "../glow.mjs";
import { image } from "../image.mjs";
import { byId, el, oncePerFrame } from "./elements.mjs";
import { later } from "./later.mjs";
import { drawImage } from "./pictures.mjs";

const FRAMES = 9;

const mixed = (from, to, t) => from.map(({ h, w, c, data }, k) =>
  image(h, w, c, data.map((z, at) => (1 - t) * z + t * to[k].data[at])));

// Calls went(latents, words) when the slider moves. Returns {rest()}, for when something else was
// chosen: the slider goes back to its start.
export function followBetween({ glow, images, range }, went) {
  const slider = byId("between"), selects = ["between-from", "between-to"].map(byId);
  const strip = Array.from({ length: FRAMES }, () => el("canvas"));
  byId("between-strip").append(...strip);
  selects.forEach((select, end) => {
    select.append(...images.map(({ name }, k) => el("option", { value: k }, name)));
    select.value = end ? Math.min(images.length - 1, 4) : 0;
  });
  let ends = null;
  const chosen = () => selects.map((select) => images[select.value]);
  const find = () => { ends ??= chosen().map(({ x }) => inverse(glow, x).latents); };
  const load = () => {
    ends = null;
    later(find);
    strip.forEach((canvas, k) => later(() => {
      find();
      drawImage(canvas, forward(glow, mixed(...ends, k / (FRAMES - 1))).x, range);
    }));
  };
  const go = () => {
    find();
    const t = Number(slider.value), [from, to] = chosen();
    went(mixed(...ends, t), `${Math.round(100 * t)} % of the way from ${from.name} to ${to.name}`);
  };
  selects.forEach((select) => select.addEventListener("change", () => { load(); go(); }));
  slider.addEventListener("input", oncePerFrame(go));
  load();
  return { rest: () => { slider.value = 0; } };
}

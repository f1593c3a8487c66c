// What stands beside the picture: how likely it is, and that nothing is lost.
import { forward, inverse } from "../glow.mjs";
import { largestDifference } from "../image.mjs";
import { byId, minus, scientific, signed } from "./elements.mjs";
import { later } from "./later.mjs";
import { drawImage } from "./pictures.mjs";

// Shows a place: its picture, large and small, its numbers, and a caption.
export function showPlace(place, range, caption) {
  const mini = byId("mini");
  drawImage(byId("picture"), place.x, range);
  drawImage(mini.firstElementChild, place.x, range);
  mini.lastElementChild.textContent = minus(place.bits, 2);
  byId("picture-caption").textContent = caption + (place.isMoved ? ", moved" : "");
  byId("bits").textContent = minus(place.bits, 3);
  byId("log-normal").textContent = minus(place.logNormal);
  byId("log-det").textContent = signed(place.logDet);
  byId("log-prob").textContent = minus(place.logProb);
}

// Sends all images to their latents and back, when there is time, and says how exactly they return.
export function tellRoundTrip(glow, images, nBits) {
  let worst = 0;
  images.forEach(({ x }) => later(() => {
    worst = Math.max(worst, largestDifference(x, forward(glow, inverse(glow, x).latents).x));
  }));
  later(() => {
    byId("round-trip").textContent = returned(images.length, worst, 0.5 / 2 ** nBits);
  });
}

// What errors of at most `worst` mean, where half a level is `half`.
function returned(count, worst, half) {
  if (!Number.isFinite(worst))
    return "Not all test images come back from their latents: numbers overflow on the way.";
  if (worst < half) return `All ${count} test images come back from their latents to `
    + `${scientific(worst)}: nothing is lost on the way.`;
  return `The ${count} test images come back from their latents only to ${scientific(worst)}, and `
    + `half a level is ${scientific(half)}: digits are lost on the way, in layers that are hard to `
    + "undo.";
}

// Shows the small picture while the large one is out of sight, but the part it is in is not.
export function followSight(mini, picture, part) {
  const inSight = new Map();
  const observer = new IntersectionObserver((entries) => {
    entries.forEach(({ target, isIntersecting }) => inSight.set(target, isIntersecting));
    mini.hidden = inSight.get(picture) || !inSight.get(part);
  });
  [picture, part].forEach((target) => observer.observe(target));
}

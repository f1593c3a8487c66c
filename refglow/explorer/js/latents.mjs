// refglow's latent vector, in which the scales are interleaved pixel by pixel, and the list of
// scales that the page works with. What has exited is squeezed on, to the coarsest size.
import { channels, image, joined } from "./image.mjs";
import { squeeze, unsqueeze } from "./squeeze.mjs";

// One Float64Array from the list of scales, the coarsest first.
export function mergeLatents(parts, [h, w], splits) {
  const left = [...parts];
  let rest = image(h / 2, w / 2, 0);
  for (let i = splits.length - 1; i >= 0; i--) {
    const [leave, grab] = splits[i];
    if (grab) rest = joined(left.pop(), rest);
    if (i === 0 && leave) rest = joined(left.pop(), rest);
    if (i > 0) rest = squeeze(rest);
  }
  return rest.data;
}

// The list of scales from one Float64Array.
export function splitLatents(z, [h, w, c], splits) {
  const side = 2 ** splits.length, parts = [];
  let rest = image(h / side, w / side, c * side * side, z);
  splits.forEach(([leave, grab], i) => {
    for (const count of i === 0 ? [leave, grab] : [grab]) {
      if (count) parts.push(channels(rest, 0, count));
      rest = channels(rest, count, rest.c);
    }
    if (i + 1 < splits.length) rest = unsqueeze(rest);
  });
  return parts;
}

// Squeeze: a tile of b x b pixels becomes one pixel with b b times the channels. Every channel's
// tile is read row by row:
//
//     coarse[i, j, (k b + p) b + q] = fine[i b + p, j b + q, k]
//
// It only moves numbers, so its log-det is 0.
import { image } from "./image.mjs";

// For every number of the coarse image, where it stands in the fine one, of h x w x c.
export function squeezeSource(h, w, c, b = 2) {
  const source = new Uint32Array(h * w * c);
  let at = 0;
  for (let i = 0; i < h / b; i++) for (let j = 0; j < w / b; j++)
    for (let k = 0; k < c; k++) for (let p = 0; p < b; p++) for (let q = 0; q < b; q++)
      source[at++] = ((i * b + p) * w + j * b + q) * c + k;
  return source;
}

export function squeeze(x, b = 2) {
  const y = image(x.h / b, x.w / b, x.c * b * b);
  squeezeSource(x.h, x.w, x.c, b).forEach((from, to) => { y.data[to] = x.data[from]; });
  return y;
}

export function unsqueeze(y, b = 2) {
  const x = image(y.h * b, y.w * b, y.c / (b * b));
  squeezeSource(x.h, x.w, x.c, b).forEach((to, from) => { x.data[to] = y.data[from]; });
  return x;
}

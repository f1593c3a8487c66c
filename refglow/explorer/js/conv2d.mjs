// A convolution with a kernel [kh, kw, inputs, outputs] and a bias, as networks have it:
//
//     y[i, j, o] = bias[o] + sum_{a, b, k} x[i + a - ph, j + b - pw, k] kernel[a, b, k, o]
//
// "same" pads with zeros, ph = (kh - 1) / 2, and keeps the size; "valid" pads nothing.
import { image } from "./image.mjs";

export function conv2d(x, { kernel, bias }, padding = "same") {
  const [kh, kw, inputs, outputs] = kernel.shape;
  const [ph, pw] = padding === "valid" ? [0, 0] : [(kh - 1) / 2, (kw - 1) / 2];
  const y = image(x.h + 2 * ph - kh + 1, x.w + 2 * pw - kw + 1, outputs);
  const { data: from } = x, { data: to } = y, weights = kernel.data;
  for (let i = 0; i < y.h; i++) for (let j = 0; j < y.w; j++) {
    const at = (i * y.w + j) * outputs;
    to.set(bias.data, at);
    for (let a = 0; a < kh; a++) for (let b = 0; b < kw; b++) {
      const row = i + a - ph, column = j + b - pw;
      if (row < 0 || row >= x.h || column < 0 || column >= x.w) continue;
      for (let k = 0; k < inputs; k++) {
        const value = from[(row * x.w + column) * inputs + k];
        if (value === 0) continue;  // so are half of the numbers that a ReLU gives
        const tap = ((a * kw + b) * inputs + k) * outputs;
        for (let o = 0; o < outputs; o++) to[at + o] += value * weights[tap + o];
      }
    }
  }
  return y;
}

// ActNorm: every channel k is shifted and scaled, in all pixels alike.
//
//     inverse   x = (y + shift_k) exp(log_scale_k)         log-det   H W sum_k log_scale_k
//     forward   y = x exp(-log_scale_k) - shift_k                   -H W sum_k log_scale_k
import { image } from "./image.mjs";

const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

export function actnormInverse(y, { shift, log_scale: logScale }) {
  const scale = logScale.data.map(Math.exp), x = image(y.h, y.w, y.c);
  for (let at = 0; at < x.data.length; at++)
    x.data[at] = (y.data[at] + shift.data[at % y.c]) * scale[at % y.c];
  return { y: x, logDet: y.h * y.w * sum(logScale.data) };
}

export function actnormForward(x, { shift, log_scale: logScale }) {
  const scale = logScale.data.map((value) => Math.exp(-value)), y = image(x.h, x.w, x.c);
  for (let at = 0; at < y.data.length; at++)
    y.data[at] = x.data[at] * scale[at % x.c] - shift.data[at % x.c];
  return { y, logDet: -x.h * x.w * sum(logScale.data) };
}

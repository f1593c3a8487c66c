// The affine map of a coupling, with a scale s = exp(log_s) and a shift t for every number:
//
//     forward   y = x s + t        log-det   sum log_s
//     inverse   x = (y - t) / s              its negative
//
// A network's raw output r gives log_s: log sigmoid(r + 2) in a step, r + 2 at an exit. It is taken
// from r directly; the logarithm of the rounded s would lose digits.
import { image } from "./image.mjs";

export const logSigmoidOf = (r) => {
  const x = r + 2;
  return Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));
};

export const logExpOf = (r) => r + 2;

export function affineForward(x, logScale, shift) {
  const y = image(x.h, x.w, x.c);
  for (let at = 0; at < y.data.length; at++)
    y.data[at] = x.data[at] * Math.exp(logScale.data[at]) + shift.data[at];
  return { y, logDet: longSum(logScale.data) };
}

export function affineInverse(y, logScale, shift) {
  const x = image(y.h, y.w, y.c);
  for (let at = 0; at < x.data.length; at++)
    x.data[at] = (y.data[at] - shift.data[at]) / Math.exp(logScale.data[at]);
  return { y: x, logDet: -longSum(logScale.data) };
}

// What each addition loses is taken into the next one (Kahan).
export function longSum(numbers) {
  let total = 0, lost = 0;
  for (const number of numbers) {
    const term = number - lost, next = total + term;
    lost = next - total - term;
    total = next;
  }
  return total;
}

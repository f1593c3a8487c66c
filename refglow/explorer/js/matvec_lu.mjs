// The 1x1 convolution: one matrix W = P L U for the channels of every pixel.
//
//     forward   y = P L U x        log-det   H W sum_k log|U_kk|
//     inverse   x = U^-1 L^-1 P^T y          its negative
//
// L (ones on its diagonal) and U are packed in lower_upper; (P v)[permutation[i]] = v[i].
import { image } from "./image.mjs";

export function matvecForward(x, { lower_upper: { data: lu }, permutation: { data: place } }) {
  const c = x.c, y = image(x.h, x.w, c), v = new Float64Array(c);
  for (let start = 0; start < x.data.length; start += c) {
    for (let k = 0; k < c; k++) v[k] = x.data[start + k];
    for (let i = 0; i < c; i++) {  // U v: row i needs v[i] and later ones, which are still old
      v[i] *= lu[i * c + i];
      for (let j = i + 1; j < c; j++) v[i] += lu[i * c + j] * v[j];
    }
    for (let i = c - 1; i >= 0; i--)  // L v: row i needs v[i] and earlier ones
      for (let j = 0; j < i; j++) v[i] += lu[i * c + j] * v[j];
    for (let k = 0; k < c; k++) y.data[start + place[k]] = v[k];
  }
  return { y, logDet: x.h * x.w * logDetOf(lu, c) };
}

export function matvecInverse(y, { lower_upper: { data: lu }, permutation: { data: place } }) {
  const c = y.c, x = image(y.h, y.w, c), v = new Float64Array(c);
  for (let start = 0; start < y.data.length; start += c) {
    for (let k = 0; k < c; k++) v[k] = y.data[start + place[k]];
    for (let i = 0; i < c; i++) for (let j = 0; j < i; j++) v[i] -= lu[i * c + j] * v[j];
    for (let i = c - 1; i >= 0; i--) {
      for (let j = i + 1; j < c; j++) v[i] -= lu[i * c + j] * v[j];
      v[i] /= lu[i * c + i];
    }
    for (let k = 0; k < c; k++) x.data[start + k] = v[k];
  }
  return { y: x, logDet: -y.h * y.w * logDetOf(lu, c) };
}

// W itself, row by row: column k is what becomes of the k-th unit vector.
export function matrixOf(params) {
  const c = params.permutation.data.length, matrix = new Float64Array(c * c);
  for (let k = 0; k < c; k++) {
    const unit = image(1, 1, c);
    unit.data[k] = 1;
    matvecForward(unit, params).y.data.forEach((value, i) => { matrix[i * c + k] = value; });
  }
  return matrix;
}

function logDetOf(lu, c) {
  let sum = 0;
  for (let k = 0; k < c; k++) sum += Math.log(Math.abs(lu[k * c + k]));
  return sum;
}

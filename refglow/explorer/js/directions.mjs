// The two directions of one scale's latents in which the image changes most: the leading right
// singular vectors of J = d image / d latent, here by differences and subspace iteration on J^T J.
import { normals } from "./random.mjs";

const STEP = 1e-5, ROUNDS = 30;
const MOST = 64;  // latents; with more, J takes too long and the directions are random

// [first, second]: Float64Arrays of length 1 in one scale's numbers.
// decode(z) is the image, a Float64Array, of this scale's latents z, the others held.
export function directionsOf(z, decode, seed = 1) {
  const next = normals(seed);
  const start = [0, 1].map(() => Float64Array.from(z, next));
  if (z.length < 2) return [Float64Array.of(1), Float64Array.of(0)];
  if (z.length > MOST) return orthonormal(...start);
  const here = decode(z), columns = Array.from(z, (_, k) => column(z, k, here, decode));
  let pair = orthonormal(...start);
  for (let round = 0; round < ROUNDS; round++)
    pair = orthonormal(...pair.map((v) => throughBoth(columns, v)));
  return pair.map(positive);
}

// d image / d z_k
function column(z, k, here, decode) {
  const ahead = Float64Array.from(z);
  ahead[k] += STEP;
  return decode(ahead).map((value, at) => (value - here[at]) / STEP);
}

// J^T (J v)
function throughBoth(columns, v) {
  const image = new Float64Array(columns[0].length);
  columns.forEach((column, k) => column.forEach((value, at) => { image[at] += value * v[k]; }));
  return Float64Array.from(columns, (column) => dot(column, image));
}

function orthonormal(a, b) {
  const first = unit(a), share = dot(first, b);
  return [first, unit(b.map((value, k) => value - share * first[k]))];
}

const dot = (a, b) => a.reduce((sum, value, k) => sum + value * b[k], 0);

function unit(v) {
  const length = Math.sqrt(dot(v, v));
  return length > 0 ? v.map((value) => value / length) : v.map((_, k) => (k === 0 ? 1 : 0));
}

// Of v and -v the one with the larger entry upwards, so that a picture always moves the same way.
function positive(v) {
  const largest = v.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
  return largest < 0 ? v.map((value) => -value) : v;
}

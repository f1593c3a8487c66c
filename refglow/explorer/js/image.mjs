// Images are {h, w, c, data}: h w c numbers in one Float64Array, channels fastest, then columns.

export const image = (h, w, c, data = new Float64Array(h * w * c)) => ({ h, w, c, data });

// Channels from..to of every pixel.
export function channels(x, from, to) {
  const y = image(x.h, x.w, to - from);
  for (let pixel = 0; pixel < x.h * x.w; pixel++)
    for (let k = from; k < to; k++) y.data[pixel * y.c + k - from] = x.data[pixel * x.c + k];
  return y;
}

// The channels of several images of one size, one after the other.
export function joined(...parts) {
  const { h, w } = parts[0];
  const y = image(h, w, parts.reduce((sum, part) => sum + part.c, 0));
  let at = 0;
  for (const part of parts) {
    for (let pixel = 0; pixel < h * w; pixel++)
      for (let k = 0; k < part.c; k++) y.data[pixel * y.c + at + k] = part.data[pixel * part.c + k];
    at += part.c;
  }
  return y;
}

// max |a - b|
export function largestDifference(a, b) {
  let largest = 0;
  for (let k = 0; k < a.data.length; k++)
    largest = Math.max(largest, Math.abs(a.data[k] - b.data[k]));
  return largest;
}

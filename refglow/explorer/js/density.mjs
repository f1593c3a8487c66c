// How likely an image is: its latents are standard normal, and the log-det pays for the stretching.
//
//     log p(x) = sum -(z^2 + log 2 pi) / 2 + ildj       nats
//     bits/dim = -log p(x) / (D ln 2) + n               n bits of each level
import { longSum } from "./affine.mjs";

export const logNormal = (latents) => longSum(latents.flatMap(({ data }) =>
  Array.from(data, (z) => -(z * z + Math.log(2 * Math.PI)) / 2)));

export const bitsPerDim = (logProb, size, nBits) => nBits - logProb / (size * Math.LN2);

// The layers of a Glow, each with both directions: {name, kind, inverse(x), forward(y)}, which
// return {y, logDet}. `inverse` leads to the latents, as in refglow.
import { actnormForward, actnormInverse } from "./actnorm.mjs";
import { logExpOf, logSigmoidOf } from "./affine.mjs";
import { couplingForward, couplingInverse } from "./coupling.mjs";
import { matvecForward, matvecInverse } from "./matvec_lu.mjs";
import { squeeze, unsqueeze } from "./squeeze.mjs";

export const squeezeLayer = (name) => ({
  name, kind: "squeeze",
  inverse: (x) => ({ y: squeeze(x), logDet: 0 }),
  forward: (y) => ({ y: unsqueeze(y), logDet: 0 }) });

export const actnormLayer = (name, params) => ({
  name, kind: "actnorm", params,
  inverse: (x) => actnormInverse(x, params),
  forward: (y) => actnormForward(y, params) });

// In a step the convolution and the coupling stand inverted: their forward leads to the latents.
export const convLayer = (name, params) => ({
  name, kind: "conv", params,
  inverse: (x) => matvecForward(x, params),
  forward: (y) => matvecInverse(y, params) });

export const couplingLayer = (name, split, params, logScaleOf = logSigmoidOf) => ({
  name, kind: "coupling", params, split,
  inverse: (x) => couplingForward(x, split, params, logScaleOf),
  forward: (y) => couplingInverse(y, split, params, logScaleOf) });

export const exitLayer = (name, split, params) => ({
  ...couplingLayer(name, split, params, logExpOf), kind: "exit" });

// A block's steps on c channels, from the image to the latents: the last one first.
export function stepLayers(name, c, steps, params = {}) {
  const half = Math.floor(c / 2), layers = [];
  for (let j = steps - 1; j >= 0; j--) {
    const step = params[`step${j}`], at = `${name}step${j}`;
    if (step.actnorm) layers.push(actnormLayer(`${at}.actnorm`, step.actnorm));
    layers.push(convLayer(`${at}.conv`, step.conv));
    layers.push(couplingLayer(`${at}.coupling`, [half, c - half], step.coupling));
  }
  return layers;
}

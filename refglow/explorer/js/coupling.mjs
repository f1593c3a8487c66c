// Affine coupling: the channels are [deciding | mapped | rest]; a network reads the deciding ones
// and says how the mapped ones are scaled and shifted.
//
//     [r | t] = network(deciding),   mapped -> mapped s + t   (or back),   s from r (affine.mjs)
//
// Both directions see the same deciding channels, so the network is never inverted. A network that
// gives only t makes an additive coupling, s = 1.
import { affineForward, affineInverse } from "./affine.mjs";
import { channels, image, joined } from "./image.mjs";
import { network } from "./network.mjs";

export const couplingForward = (x, split, params, logScaleOf) =>
  coupled(x, split, params, logScaleOf, affineForward);

export const couplingInverse = (x, split, params, logScaleOf) =>
  coupled(x, split, params, logScaleOf, affineInverse);

function coupled(x, [deciding, mapped], params, logScaleOf, affine) {
  const a = channels(x, 0, deciding), b = channels(x, deciding, deciding + mapped);
  const output = network(a, params), additive = output.c === mapped;
  const logScale = additive ? image(b.h, b.w, b.c) : channels(output, 0, mapped);
  const shift = additive ? output : channels(output, mapped, 2 * mapped);
  if (!additive) logScale.data.forEach((r, at) => { logScale.data[at] = logScaleOf(r); });
  const { y, logDet } = affine(b, logScale, shift);
  return { y: joined(a, y, channels(x, deciding + mapped, x.c)), logDet, logScale, shift };
}

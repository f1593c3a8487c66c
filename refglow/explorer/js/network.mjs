// A coupling's network: conv1, ReLU, conv2, ReLU, ..., as many as there are parameters.
import { conv2d } from "./conv2d.mjs";
import { image } from "./image.mjs";

export function relu(x) {
  const y = image(x.h, x.w, x.c);
  for (let at = 0; at < y.data.length; at++) y.data[at] = Math.max(x.data[at], 0);
  return y;
}

export function network(x, params) {
  let y = conv2d(x, params.conv1);
  for (let k = 2; params[`conv${k}`]; k++) y = conv2d(relu(y), params[`conv${k}`]);
  return y;
}

// A whole Glow between an image and its latents, a list with one image for each scale, the coarsest
// first. On the way to the latents a block squeezes, takes its steps, and lets part of the channels
// exit.
import { channels, image, joined } from "./image.mjs";
import { exitLayer, squeezeLayer, stepLayers } from "./layers.mjs";
import { splitsOf } from "./architecture.mjs";

// {shape, splits, blocks}; of each block, the finest first, {name, layers, leave, grab}.
export function glowOf(architecture, params) {
  const splits = splitsOf(architecture);
  const blocks = splits.map(([leave, grab], i) => {
    const name = `block${i}`, own = params[name] ?? {};
    const layers = [squeezeLayer(`${name}.squeeze`),
      ...stepLayers(`${name}.`, leave + grab, architecture.steps, own)];
    if (leave && grab) layers.push(exitLayer(`${name}.exit`, [leave, grab], own.exit));
    return { name, layers, leave, grab };
  });
  return { shape: [architecture.h, architecture.w, architecture.c], splits,
    blocks: blocks.reverse() };
}

// {latents, logDet} of an image; watch(layer, input, {y, logDet, ...}) sees every layer at work.
export function inverse(glow, x, watch = () => {}) {
  const latents = [];
  let logDet = 0, y = x;
  for (const { layers, leave, grab } of glow.blocks) {
    for (const layer of layers) {
      const found = layer.inverse(y);
      watch(layer, y, found);
      logDet += found.logDet;
      y = found.y;
    }
    if (grab) latents.unshift(channels(y, leave, leave + grab));
    y = channels(y, 0, leave);
  }
  if (y.c) latents.unshift(y);
  return { latents, logDet };
}

// {x, logDet} of latents.
export function forward(glow, latents) {
  const rest = [...latents], last = glow.blocks.at(-1), [h, w] = glow.shape;
  const side = 2 ** glow.blocks.length;
  let logDet = 0, y = last.leave ? rest.shift() : image(h / side, w / side, 0);
  for (const { layers, grab } of [...glow.blocks].reverse()) {
    if (grab) y = joined(y, rest.shift());
    for (const layer of [...layers].reverse()) {
      const found = layer.forward(y);
      logDet += found.logDet;
      y = found.y;
    }
  }
  return { x: y, logDet };
}

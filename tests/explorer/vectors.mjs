// The explorer's arithmetic on golden vectors: node vectors.mjs JS DIR writes DIR/results.
//
// The modules compute one image at a time; here they are called for every one of a batch.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { generated, writeSafetensors } from "./files.mjs";

const [from, folder] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(join(from, `${name}.mjs`)));
const { actnormForward, actnormInverse } = await load("actnorm");
const { conv2d } = await load("conv2d");
const { forward, glowOf, inverse } = await load("glow");
const { image } = await load("image");
const { mergeLatents, splitLatents } = await load("latents");
const { exitLayer, stepLayers } = await load("layers");
const { matvecForward, matvecInverse } = await load("matvec_lu");
const { network } = await load("network");
const { nested, readSafetensors } = await load("safetensors");
const { squeeze, unsqueeze } = await load("squeeze");

// Layers one after the other, towards the latents or back.
function through(layers, x, toLatents) {
  let logDet = 0;
  for (const layer of toLatents ? layers : [...layers].reverse()) {
    const found = toLatents ? layer.inverse(x) : layer.forward(x);
    x = found.y;
    logDet += found.logDet;
  }
  return { y: x, logDet };
}

function glow(x, { output_shape: [h, w, c], num_glow_blocks: blocks, num_steps_per_block: steps,
  grab_after_block: fractions }, params, toImage) {
  const model = glowOf({ h, w, c, blocks, steps, fractions }, params);
  if (!toImage) {
    const { latents, logDet } = inverse(model, x);
    return { y: { data: mergeLatents(latents, [h, w, c], model.splits) }, logDet };
  }
  const { x: y, logDet } = forward(model, splitLatents(x.data, [h, w, c], model.splits));
  return { y, logDet };
}

const still = (y) => ({ y, logDet: 0 });
const exit = ([leave, grab], params) => (leave && grab ? [exitLayer("exit", [leave, grab], params)]
  : []);

const OPERATIONS = {
  Squeeze: (x, { block_size: b }, _, isForward) =>
    still(isForward ? squeeze(x, b) : unsqueeze(x, b)),
  ActivationNormalization: (x, _, params, isForward) =>
    (isForward ? actnormForward : actnormInverse)(x, params),
  ScaleMatvecLU: (x, _, params, isForward) =>
    (isForward ? matvecForward : matvecInverse)(x, params),
  OneByOneConv: (x, _, params, isForward) =>
    (isForward ? matvecForward : matvecInverse)(x, params),
  Conv2D: (x, { padding }, params) => ({ y: conv2d(x, params, padding) }),
  CouplingNetwork: (x, _, params) => ({ y: network(x, params) }),
  ExitNetwork: (x, _, params) => ({ y: network(x, params) }),
  GlowBlock: (x, { num_steps: steps }, params, isForward) =>
    through(stepLayers("", x.c, steps, params), x, !isForward),
  // TFP's class is forward towards the latents; Glow uses it inverted.
  ExitBijector: (x, { split }, params, isForward) => through(exit(split, params), x, isForward),
  Glow: glow,
};

function evaluated(manifest) {
  const bytes = readFileSync(join(folder, "vectors", manifest.file));
  const { arrays } = readSafetensors(bytes), params = {}, results = {};
  const given = (name) => {
    const what = manifest.inputs[name];
    return what.generated ? generated(what.generated, what.shape) : arrays[`inputs/${name}`];
  };
  for (const name of Object.keys(manifest.inputs))
    if (name.startsWith("params/")) params[name.slice(7)] = given(name);
  for (const direction of manifest.directions) {
    const isForward = direction === "forward";
    const { shape, data } = given(`${direction}/input`);
    const ndims = isForward || manifest.operation !== "Glow" ? manifest.event_ndims : 3;
    const [h, w, c] = [1, 1, ...shape.slice(shape.length - ndims)].slice(-3);
    const found = Array.from({ length: data.length / (h * w * c) }, (_, n) =>
      OPERATIONS[manifest.operation](image(h, w, c, data.slice(n * h * w * c, (n + 1) * h * w * c)),
        manifest.arguments, nested(params), isForward));
    const result = (name) => manifest.results[`${direction}/${name}`].shape;
    results[`${direction}/value`] = { shape: result("value"),
      data: found.flatMap(({ y }) => Array.from(y.data)) };
    if (found[0].logDet !== undefined)
      results[`${direction}/log_det`] = { shape: result("log_det"),
        data: found.map(({ logDet }) => logDet) };
  }
  return results;
}

mkdirSync(join(folder, "results"), { recursive: true });
for (const file of readdirSync(join(folder, "vectors")).filter((name) => name.endsWith(".json"))) {
  const manifest = JSON.parse(readFileSync(join(folder, "vectors", file), "utf8"));
  writeFileSync(join(folder, "results", manifest.file), writeSafetensors(evaluated(manifest)));
}
